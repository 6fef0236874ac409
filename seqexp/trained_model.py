"""A trained model in use: text in, text out."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import Batch, PairBatch
from seqexp.data.batching import BatchLimits
from seqexp.data.guided import GuidedSplit
from seqexp.data.prompts import PromptSplit
from seqexp.data.split import Split
from seqexp.data.vocabulary import UNK
from seqexp.generators.base import Generator, Hypothesis
from seqexp.generators.batches import evaluation_batches, generate_batches
from seqexp.generators.sampling import SamplingConfig
from seqexp.generators.scoring import target_log_probs
from seqexp.generators.unknown_words import UnknownWords
from seqexp.models.base import Model
from seqexp.models.kept_dropout import KeptDropout
from seqexp.precisions.base import Precision
from seqexp.runtime.errors import UserError
from seqexp.tasks.base import Task


@dataclass(frozen=True)
class Translation:
    """One hypothesis as text."""

    text: str
    """Of a language model, its prompt and what follows it."""
    score: float
    """What hypotheses are ranked by, in nats; normalised as the generator says."""
    tokens: list[str]
    """As the model wrote it, before the text stages were undone; ends in `</s>`. With `replace_unknown` source tokens
    stand in place of `<unk>`."""
    token_scores: list[float]
    """Log-probability of each token, in nats."""
    attention: list[list[float]] | None = None
    """With `generator.return_attention=true`, how much each token attends to each token of the source."""
    alignment: list[tuple[int, int]] | None = None
    """With it too: (number of the source token, number of the token), for each but `</s>`."""


@dataclass(frozen=True)
class ScoredText:
    """A given target and what the models say of it."""

    text: str
    log_prob: float
    """Of the whole, `</s>` included, in nats; not normalised."""
    tokens: list[str]
    """As the model reads it; ends in `</s>`."""
    token_scores: list[float]
    """Log-probability of each token, in nats."""


NOTHING = Translation(text="", score=0.0, tokens=[], token_scores=[])
"""Of an empty line."""


@dataclass
class TrainedModel:
    """One model, or several that vote, with the text stages and the generator that they were trained with."""

    task: Task
    models: Sequence[Model]
    generator: Generator
    precision: Precision
    """That of the training, so that scores are those of the validation."""
    limits: BatchLimits
    dropout: KeptDropout = KeptDropout([])
    """Which dropout of the models is on, in searches and scores; usually none."""
    unknown: UnknownWords | None = None
    """What replaces `<unk>`; needs a generator that gives alignments."""

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """The best translation of each sentence; empty where the search found none."""
        return [best_text(translations) for translations in self.nbest(sentences)]

    def nbest(
        self,
        sentences: Sequence[str],
        *,
        prefixes: Sequence[str] | None = None,
        constraints: Sequence[Sequence[str]] | None = None,
    ) -> list[list[Translation]]:
        """The translations of each sentence, best first, as many as the generator's `nbest` says.

        Args:
            prefixes: for each sentence, what its translations begin with; "" is anything.
            constraints: for each sentence, the phrases that its translations contain, for `generator=constrained_beam`.
                None: those that are in the sentences, as `encode` reads them.

        Raises:
            TypeError: one string instead of a list.
            ValueError: not as many prefixes or constraints as sentences, or the generator does not know constraints.
        """
        _refuse_one_string(sentences)
        split = self.encode(sentences) if constraints is None else self.task.encode(sentences)
        if prefixes is not None or constraints is not None:
            split = guided(self.task, split, prefixes, constraints)
        found = dict(self.generate(split))
        return [found[number] for number in range(len(sentences))]

    def encode(self, lines: Sequence[str]) -> Split:
        """Raw text to translate, as a split. If the generator takes constraints, what follows a tab in a line, up to
        the next one, is a phrase that the translations contain.

        Raises:
            UserError: the generator needs references, or a phrase has a word that the vocabulary lacks.
        """
        if self.generator.needs_references:
            raise UserError("generator.prefix_size: raw text has no references whose first words could be given")
        if not self.generator.sees_to_constraints:
            return self.task.encode(lines)
        parts = [line.split("\t") for line in lines]
        phrases = [[phrase for phrase in given if phrase.strip()] for _, *given in parts]
        return guided(self.task, self.task.encode([sentence for sentence, *_ in parts]), None, phrases)

    def sample(
        self, sentences: Sequence[str], *, num_samples: int = 1, seed: int = 1, **options: Any
    ) -> list[list[Translation]]:
        """Random translations of each sentence, the likeliest first.

        Args:
            seed: the same one gives the same translations, whatever the other sentences are.
            options: of `generator=sampling`: `temperature`, `top_k`, `top_p`, ...

        Raises:
            TypeError: one string instead of a list, or an option that there is not.
            ValueError: an option's value is not valid.
        """
        if self.unknown is not None:
            options["return_attention"] = True
        config = SamplingConfig(num_samples=num_samples, seed=seed, **options)
        return dataclasses.replace(self, generator=self.task.build_generator(config)).nbest(sentences)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[ScoredText]:
        """How likely the models find each target as the translation of its source.

        Raises:
            TypeError: one string instead of a list.
            ValueError: unequal numbers of them.
        """
        _refuse_one_string(sources, targets)
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources and {len(targets)} targets: give one target for each source")
        split = self.task.encode_pairs(sources, targets)
        pad = self.task.vocabularies()["target"].pad
        found: dict[int, ScoredText] = {}
        for batch in self.dropout.seeded(evaluation_batches(split, self.limits)):
            batch = batch.to(self.precision.device)
            assert isinstance(batch, PairBatch)
            assert batch.target_tokens is not None
            with self.precision.autocast():
                scores = target_log_probs(self.models, batch, batch.target_tokens, pad)
            rest = scores.tolist()  # of all rows, one after the other
            for number, row in zip(batch.indices.tolist(), batch.target_tokens, strict=True):
                tokens = row[row.ne(pad)]
                each, rest = rest[: len(tokens)], rest[len(tokens) :]
                found[number] = ScoredText(targets[number], sum(each), self.task.symbols(tokens), each)
        return [found[number] for number in range(len(sources))]

    def generate(self, split: Split, batches: Iterable[Batch] | None = None) -> Iterator[tuple[int, list[Translation]]]:
        """Translate a split, or these batches of it; yields numbers of examples with their translations, batch by
        batch. Without `batches` short sentences come first."""
        if batches is None:
            batches = evaluation_batches(split, self.limits)
        seeded = self.dropout.seeded(batches)
        for number, hypotheses in generate_batches(self.generator, self.models, seeded, self.precision):
            if not (isinstance(split, PromptSplit) or split.source_text(number).strip()):
                yield number, [NOTHING]  # whatever a model would make up of an empty line
                continue
            yield (
                number,
                [self._translation(split, number, hypothesis) for hypothesis in hypotheses],
            )

    def _translation(self, split: Split, number: int, hypothesis: Hypothesis) -> Translation:
        symbols = self.task.symbols(hypothesis.tokens)
        if self.unknown is not None and UNK in symbols:
            assert hypothesis.alignment is not None
            source = self.task.source_symbols(split.source_text(number))
            symbols = self.unknown.replaced(symbols, source, hypothesis.alignment)
            text = self.task.text_of(symbols)
        else:
            text = self.task.decode(_whole(split, number, hypothesis.tokens))
        return Translation(
            text=text,
            score=hypothesis.score,
            tokens=symbols,
            token_scores=hypothesis.positional_scores.tolist(),
            attention=None if hypothesis.attention is None else hypothesis.attention.tolist(),
            alignment=hypothesis.alignment,
        )


def _refuse_one_string(*lists: Sequence[str]) -> None:
    if any(isinstance(sentences, str) for sentences in lists):
        raise TypeError("give a list of sentences: [text]")


def guided(
    task: Task, split: Split, prefixes: Sequence[str] | None, constraints: Sequence[Sequence[str]] | None
) -> Split:
    """A split with what is asked of its hypotheses, as text; see `TrainedModel.nbest`.

    Raises:
        UserError: a constraint has a word that the vocabulary lacks, so no hypothesis can contain it.
    """
    for name, given in (("prefixes", prefixes), ("constraints", constraints)):
        right = f"give one for each of the {len(split)} sentences"
        require(given is None or len(given) == len(split), name, f"{len(given or [])} of them", right)
    words = task.vocabularies()["target"]
    encoded = None if constraints is None else [task.encode_target(phrases) for phrases in constraints]
    for phrases, indices in zip(constraints or [], encoded or [], strict=True):
        for phrase, each in zip(phrases, indices, strict=True):
            if words.unk in each:
                raise UserError(f"constraint {phrase!r}: the vocabulary lacks a word of it")
    return GuidedSplit(split, None if prefixes is None else task.encode_target(prefixes), encoded, pad=words.pad)


def _whole(split: Split, number: int, tokens: Tensor) -> Tensor:
    """The tokens of a hypothesis; those of a language model go on with its prompt."""
    return split.whole(number, tokens) if isinstance(split, PromptSplit) else tokens


def best_text(translations: Sequence[Translation]) -> str:
    """The first of the translations; empty where the search found none, as with weights that are not finite."""
    return translations[0].text if translations else ""
