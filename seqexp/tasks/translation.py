"""Translation: one sentence in, one sentence out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import Tensor

from seqexp.config.build import build
from seqexp.criterions.base import Criterion, CriterionConfig
from seqexp.data.batching import BatchLimits, EpochPlan, Integers, Order
from seqexp.data.collate import PairCollater
from seqexp.data.given import GivenPairs, GivenSources
from seqexp.data.padding import NO_PADDING, Padding
from seqexp.data.pairs import LongExamples, PairSamplingConfig, PairSplit
from seqexp.data.split import Split
from seqexp.data.stages import Catalog, TextStages, load_stages, load_vocabulary
from seqexp.data.vocabulary import BOS, EOS, PAD, UNK, Vocabulary
from seqexp.generators.base import Generator, GeneratorConfig, make_generator
from seqexp.models.base import Model, ModelConfig, Seq2SeqModel
from seqexp.runtime.errors import UserError
from seqexp.tasks.base import TaskConfig
from seqexp.tasks.prepared import PreparedTask, build_model

logger = logging.getLogger(__name__)


@dataclass
class TranslationConfig(TaskConfig):
    """Sentence pairs of a parallel corpus; without `data`, English and German by a grammar that seqexp brings along."""

    _target_: str = "seqexp.tasks.translation.TranslationTask"
    source_lang: str | None = None
    """Language to translate from; null: the source that the data was prepared with."""
    target_lang: str | None = None
    """Language to translate into; null: the target that the data was prepared with."""
    too_long: LongExamples = LongExamples.drop
    """What becomes of training pairs longer than the model's positions. In other splits all are kept, and cut."""
    sampling: PairSamplingConfig = field(default_factory=PairSamplingConfig)
    """Of the subwords of training pairs; all other text is encoded as it always is."""
    embedded_data: str = "data-bin/embedded"
    """Where the embedded corpus is put when there is no `data`."""


class TranslationTask(PreparedTask):
    """Sentence pairs, their vocabularies and their text stages."""

    config: TranslationConfig

    def __init__(
        self,
        config: TranslationConfig,
        *,
        components: Catalog,
        trust: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        """The arguments are those of `PreparedTask`.

        Raises:
            UserError: there is no prepared data, or it does not hold the languages.
        """
        super().__init__(config, config.embedded_data, components=components, trust=trust, directory=directory)
        self.source, self.target = self.languages = self._languages()
        self.source_vocabulary = load_vocabulary(self.directory, self.manifest, self.source)
        self.target_vocabulary = load_vocabulary(self.directory, self.manifest, self.target)
        self._source_stages = load_stages(self.directory, self.manifest, self.source, components, trust)
        self._target_stages = load_stages(self.directory, self.manifest, self.target, components, trust)
        self._loaded: dict[str, PairSplit] = {}

    def vocabularies(self) -> dict[str, Vocabulary]:
        return {"source": self.source_vocabulary, "target": self.target_vocabulary}

    def load_split(
        self, name: str, model: Model, *, for_training: bool = False, padding: Padding = NO_PADDING
    ) -> Split:
        assert isinstance(model, Seq2SeqModel)
        limits = (model.max_source_positions, model.max_target_positions)
        if not for_training:
            return TranslationSplit(self._pairs(name).limited(*limits, LongExamples.truncate).padded(padding, *limits))
        pairs = self._pairs(name).limited(*limits, self.config.too_long).padded(padding, *limits)
        if not self.config.sampling.is_on:
            return TranslationSplit(pairs)
        pairs.require_sampling(self.config.sampling)
        return SampledSplit(pairs, self.config.sampling, limits, padding)

    def _pairs(self, name: str) -> PairSplit:
        """A split as the data has it; one that must be encoded for it is kept for the next time."""
        if name not in self._loaded:
            self._loaded[name] = PairSplit.load(
                self.directory,
                name,
                manifest=self.manifest,
                source=self.source,
                target=self.target,
                catalog=self._components,
                trust=self._trust,
            )
        return self._loaded[name]

    def encode(self, lines: Sequence[str]) -> Split:
        sentences = _encoded(lines, self._source_stages, self.source_vocabulary)
        return GivenSources(list(lines), sentences, self.source_vocabulary.pad)

    def encode_pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Split:
        sentences = _encoded(sources, self._source_stages, self.source_vocabulary)
        outputs = _encoded(targets, self._target_stages, self.target_vocabulary)
        return GivenPairs(list(sources), sentences, self.source_vocabulary.pad, list(targets), outputs)

    def encode_target(self, lines: Sequence[str]) -> list[Integers]:
        encoded = self._target_stages.encode_lines(list(lines))
        return [self.target_vocabulary.encode(tokens.split(), append_eos=False) for tokens in encoded]

    def decode(self, tokens: Tensor) -> str:
        return self.text_of(self.symbols(tokens))

    def text_of(self, symbols: Sequence[str]) -> str:
        return self._target_stages.decode(" ".join(_words(symbols)))

    def source_symbols(self, text: str) -> list[str]:
        return self._source_stages.encode(text).split()

    def symbols(self, tokens: Tensor) -> list[str]:
        return [self.target_vocabulary[index] for index in tokens.tolist()]

    def joined(self, symbols: Sequence[str]) -> str:
        return self._target_stages.joined(" ".join(_words(symbols)))

    def source_as_read(self, text: str) -> str:
        return _as_read(text, self._source_stages, self.source_vocabulary, UNK)

    def target_as_read(self, text: str) -> str:
        return _as_read(text, self._target_stages, self.target_vocabulary, f"<{UNK}>")

    def build_model(self, config: ModelConfig) -> Model:
        return build_model(
            config,
            Seq2SeqModel,
            "an encoder and decoder such as model=transformer",
            source_vocabulary_size=len(self.source_vocabulary),
            target_vocabulary_size=len(self.target_vocabulary),
            padding_index=self.target_vocabulary.pad,
        )

    def build_criterion(self, config: CriterionConfig) -> Criterion:
        criterion: Criterion = build(config, padding_index=self.target_vocabulary.pad)
        return criterion

    def build_generator(self, config: GeneratorConfig) -> Generator:
        return make_generator(config, self.target_vocabulary, self.decode)

    def _languages(self) -> tuple[str, str]:
        """Source and target language.

        Raises:
            UserError: the data does not hold one of them.
        """
        if self.manifest.kind != "parallel" or self.manifest.target is None:
            raise UserError(f"task.data={self.directory} holds a {self.manifest.kind} corpus; translation needs pairs")
        source = self.config.source_lang or self.manifest.source
        target = self.config.target_lang or self.manifest.target
        for key, language in (("source_lang", source), ("target_lang", target)):
            if language not in self.manifest.fields:
                raise UserError(f"task.{key}={language}: the data holds {', '.join(self.manifest.fields)}")
        if source == target:
            raise UserError(f"task.source_lang={source}: the same as the target language")
        return source, target


def _encoded(lines: Sequence[str], stages: TextStages, vocabulary: Vocabulary) -> list[Integers]:
    return [vocabulary.encode(tokens.split()) for tokens in stages.encode_lines(list(lines))]


def _words(symbols: Sequence[str]) -> list[str]:
    return [symbol for symbol in symbols if symbol not in (BOS, PAD, EOS)]


def _as_read(text: str, stages: TextStages, vocabulary: Vocabulary, unknown: str) -> str:
    indices = vocabulary.encode(stages.encode(text).split())
    words = [unknown if index == vocabulary.unk else vocabulary[index] for index in indices.tolist()]
    return stages.decode(" ".join(_words(words)))


class TranslationSplit:
    """Sentence pairs of a data directory."""

    has_references = True

    def __init__(self, pairs: PairSplit) -> None:
        self.pairs = pairs
        self.collate = PairCollater(pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> Split:
        return self

    def plan(self, limits: BatchLimits, *, order: Order, seed: int = 0, epoch: int = 0) -> EpochPlan:
        return self.pairs.plan(limits, order=order, seed=seed, epoch=epoch)

    def source_text(self, number: int) -> str:
        return self._source_lines[number]

    def references(self, number: int) -> list[str]:
        return [self._target_lines[number]]

    @cached_property
    def _source_lines(self) -> list[str]:
        return self.pairs.source_lines()

    @cached_property
    def _target_lines(self) -> list[str]:
        return self.pairs.target_lines()


class SampledSplit(TranslationSplit):
    """Sentence pairs whose subwords every epoch draws anew."""

    def __init__(
        self,
        pairs: PairSplit,
        sampling: PairSamplingConfig,
        max_sizes: tuple[int | None, int | None],
        padding: Padding = NO_PADDING,
    ) -> None:
        """`max_sizes`: most source and target tokens that the model takes; None for any number."""
        super().__init__(pairs)
        self.sampling, self.max_sizes, self.padding = sampling, max_sizes, padding

    def epoch(self, seed: int, epoch: int, limits: BatchLimits, num_workers: int = 0) -> Split:
        source, target = (_least(limits.max_tokens, size) for size in self.max_sizes)
        pairs = self.pairs.drawn(
            self.sampling,
            seed=seed,
            epoch=epoch,
            max_source_size=source,
            max_target_size=target,
            num_workers=max(num_workers, 1),
        )
        return TranslationSplit(pairs.padded(self.padding, *self.max_sizes))


def _least(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)
