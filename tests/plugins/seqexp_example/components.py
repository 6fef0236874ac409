"""A component of every group, each derived from one of seqexp's, with an option of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seqexp.corpora.parallel import ParallelCorpus, ParallelCorpusConfig
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.distributed.single import Single, SingleConfig
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.lr_schedulers.base import LRScheduler, LRSchedulerConfig
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.optimizers.base import SingleOptimizerConfig
from seqexp.precisions.fp32 import FP32, FP32Config
from seqexp.runs.directory import RunDirectory, Status
from seqexp.scorers.chrf import ChrF, ChrFConfig
from seqexp.tasks.translation import TranslationConfig, TranslationTask
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.characters import CharactersConfig, CharactersTokenizer
from seqexp.trackers.base import Point, Tracker, TrackerConfig

HERE = "seqexp_example.components"


@dataclass
class ExampleTaskConfig(TranslationConfig):
    _target_: str = f"{HERE}.ExampleTask"
    option: int = 1


class ExampleTask(TranslationTask): ...


@dataclass
class ExampleModelConfig(TransformerConfig):
    _target_: str = f"{HERE}.ExampleModel"
    option: int = 1


class ExampleModel(Transformer): ...


@dataclass
class ExampleCriterionConfig(CrossEntropyConfig):
    _target_: str = f"{HERE}.ExampleCriterion"
    option: int = 1


class ExampleCriterion(CrossEntropy):
    def __init__(self, config: ExampleCriterionConfig, *, padding_index: int) -> None:
        super().__init__(config, padding_index=padding_index)


@dataclass
class ExampleOptimizerConfig(SingleOptimizerConfig):
    _target_: str = f"{HERE}.ExampleOptimizer"
    option: int = 1


class ExampleOptimizer(torch.optim.SGD):
    """One of ours that takes its config whole."""

    def __init__(self, config: ExampleOptimizerConfig, *, params: list[torch.nn.Parameter]) -> None:
        super().__init__(params, lr=config.lr)


@dataclass
class ExampleLRSchedulerConfig(LRSchedulerConfig):
    _target_: str = f"{HERE}.ExampleLRScheduler"
    factor: float = 0.5
    """The rate is this part of the optimizer's."""


class ExampleLRScheduler(LRScheduler):
    def __init__(self, config: ExampleLRSchedulerConfig, *, lr: float, max_updates: int | None) -> None:
        self.lr = lr * config.factor

    def lr_at(self, update: int) -> float:
        return self.lr


@dataclass
class ExamplePrecisionConfig(FP32Config):
    _target_: str = f"{HERE}.ExamplePrecision"


class ExamplePrecision(FP32): ...


@dataclass
class ExampleDistributedConfig(SingleConfig):
    _target_: str = f"{HERE}.ExampleDistributed"


class ExampleDistributed(Single): ...


@dataclass
class ExampleGeneratorConfig(GreedyConfig):
    _target_: str = f"{HERE}.ExampleGenerator"


class ExampleGenerator(Greedy): ...


@dataclass
class ExampleScorerConfig(ChrFConfig):
    _target_: str = f"{HERE}.ExampleScorer"


class ExampleScorer(ChrF): ...


@dataclass
class ExampleTrackerConfig(TrackerConfig):
    _target_: str = f"{HERE}.ExampleTracker"
    wait_seconds: float = 60.0


class ExampleTracker(Tracker):
    """Appends the names of metrics to a file beside the journal."""

    def __init__(
        self, config: ExampleTrackerConfig, *, run: RunDirectory, identity: str, memory: dict[str, Any]
    ) -> None:
        super().__init__(run=run, identity=identity, memory=memory)
        self.target = str(run.path / "example.txt")

    target = ""

    def look(self) -> str:
        return f"cat {self.target}"

    def open(self) -> bool:
        return Path(self.target).exists()

    def describe(self, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None: ...

    def log(self, points: Sequence[Point]) -> None:
        with Path(self.target).open("a") as file:
            file.writelines(f"{point.name}\n" for point in points)

    def attach(self, path: Path, name: str) -> None: ...

    def set_status(self, status: Status, time: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class ExampleCorpusConfig(ParallelCorpusConfig):
    _target_: str = f"{HERE}.ExampleCorpus"


class ExampleCorpus(ParallelCorpus): ...


@dataclass
class ExampleTokenizerConfig(TokenizerConfig):
    _target_: str = f"{HERE}.ExampleTokenizer"


class ExampleTokenizer(Tokenizer):
    """Writes full stops as words of their own."""

    def encode(self, line: str) -> str:
        return " ".join(line.replace(".", " . ").split())

    def decode(self, tokens: str) -> str:
        return tokens.replace(" .", ".")


@dataclass
class ExampleSubwordConfig(CharactersConfig):
    _target_: str = f"{HERE}.ExampleSubword"


class ExampleSubword(CharactersTokenizer): ...
