"""Loss and scores of a model on a split."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch

from seqexp.config.build import build
from seqexp.criterions.base import Criterion
from seqexp.data.batch import Batch
from seqexp.data.batching import BatchLimits
from seqexp.data.split import Split
from seqexp.distributed.world import World
from seqexp.generators.base import Generator
from seqexp.generators.batches import evaluation_batches, generate_batches
from seqexp.models.base import Model, Seq2SeqModel
from seqexp.precisions.base import Precision
from seqexp.scorers.base import Score, Scorer, ScorerConfig
from seqexp.tasks.base import Task
from seqexp.training.metrics import MetricBag
from seqexp.training.out_of_memory import fitting_into_memory, named_batch


@dataclass(frozen=True)
class Evaluation:
    """What a model does with a split."""

    metrics: dict[str, float]
    """`loss` and `nll_loss` in nats per target, `perplexity`, and the value of every scorer by its name. The same in
    all processes; the rest is for the first of them."""
    scores: dict[str, Score] = field(default_factory=dict)
    hypotheses: list[str] = field(default_factory=list)
    """Best translation of each example, in order; empty where nothing was generated."""


@dataclass
class Evaluator:
    """Evaluates a model on splits; the same numbers whatever the batches are."""

    task: Task
    criterion: Criterion
    generator: Generator | None
    """None: the loss only, as for splits without references."""
    scorers: Mapping[str, ScorerConfig]
    limits: BatchLimits
    precision: Precision
    """That of training: the model computes in its number format here too."""
    world: World = field(default_factory=lambda: World(torch.device("cpu")))
    """Who shares out the batches."""
    advice: str = "take smaller batches"
    """What to change where a batch does not fit into memory."""
    _begun: Batch | None = field(default=None, init=False)
    """The last one that was begun."""

    def __post_init__(self) -> None:
        if self.generator is not None:
            for config in self.scorers.values():
                build(config)  # a library that is not there shows before the training, not after an epoch

    def __call__(self, model: Model, name: str, split: Split, max_batches: int | None = None) -> Evaluation:
        """Evaluate on a split, or on its first batches only; `model` is in evaluation mode afterwards.

        Args:
            name: of the split, for messages.

        Raises:
            ProcessError: a batch does not fit into memory.
        """
        model.eval()
        with self._fits(f"split {name}: the loss"):
            bag = self._losses(model, split, max_batches)
        metrics = bag.total(self.world).means()
        if self.generator is None or not split.has_references:
            return Evaluation(metrics)
        assert isinstance(model, Seq2SeqModel)
        with self._fits(f"split {name}: the search"):
            own = self._hypotheses(model, split, max_batches)
        hypotheses = dict(sorted((number, text) for pairs in self.world.gather(own) for number, text in pairs))
        scores = score(hypotheses, split.references, self.scorers) if self.world.is_first else {}
        values = self.world.from_first(lambda: {name: result.value for name, result in scores.items()})
        return Evaluation({**metrics, **values}, scores, list(hypotheses.values()))

    def _hypotheses(self, model: Seq2SeqModel, split: Split, max_batches: int | None) -> list[tuple[int, str]]:
        """By the number of each example that is this process' share, its best translation."""
        assert self.generator is not None
        generated = generate_batches(self.generator, [model], self._batches(split, max_batches), self.precision)
        # A model gone wrong (weights not finite) finds nothing: that is an empty translation, and it scores so.
        return [(number, self.task.decode(found[0].tokens) if found else "") for number, found in generated]

    @torch.no_grad()
    def _losses(self, model: Model, split: Split, max_batches: int | None) -> MetricBag:
        bag = MetricBag()
        for batch in self._batches(split, max_batches):
            with self.precision.autocast():
                output = self.criterion(model, batch.to(self.precision.device))
            bag.add({"loss": output.sum, **output.metrics}, output.num_targets)
        return bag

    def _batches(self, split: Split, max_batches: int | None) -> Iterator[Batch]:
        """This process' share."""
        share = {"rank": self.world.rank, "num_processes": self.world.size}
        for batch in evaluation_batches(split, self.limits, max_batches, **share):
            self._begun = batch
            yield batch
            self.world.advance()

    @contextlib.contextmanager
    def _fits(self, what: str) -> Iterator[None]:
        """
        Raises:
            ProcessError: a batch does not fit into memory, whose tensors are then freed.
        """
        self._begun = None

        def begun() -> str:
            return what if self._begun is None else f"{what} of a batch ({named_batch(self._begun)})"

        try:
            with fitting_into_memory(self.precision.device, begun, self.advice):
                yield
        finally:
            self._begun = None


def score(
    hypotheses: Mapping[int, str], references: Callable[[int], list[str]], scorers: Mapping[str, ScorerConfig]
) -> dict[str, Score]:
    """Every score of these hypotheses, by the number of their example."""
    scores = {}
    for name, config in scorers.items():
        scorer: Scorer = build(config)
        for number, hypothesis in hypotheses.items():
            scorer.add(hypothesis, references(number))
        scores[name] = scorer.result()
    return scores
