"""Search by CTranslate2, with weights that it converts once and keeps below the run."""

import dataclasses
import logging
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.config.base import OptionError, require
from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import PAD, Vocabulary
from seqexp.engines.base import Engine, EngineConfig, Trained
from seqexp.formats.base import Vocabularies
from seqexp.formats.checked import random_batch, write_checked
from seqexp.formats.ctranslate2 import CTranslate2Format, Quantization, open_translator, source_symbols
from seqexp.formats.ctranslate2_transformer import EXTRA
from seqexp.generators.base import Generator, GeneratorConfig, Hypothesis
from seqexp.generators.beam import BeamSearchConfig
from seqexp.generators.greedy import GreedyConfig
from seqexp.generators.search import Search, SearchConfig
from seqexp.models.base import Model, Seq2SeqModel
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.runtime.files import atomic_directory

logger = logging.getLogger("seqexp.engines")

HONOURED = {
    "beam_size",
    "nbest",
    "max_length_a",
    "max_length_b",
    "max_length_from",
    "normalize_scores",
    "length_penalty",
}
"""Options of the search that CTranslate2 honours as they are meant here. Others must be what they are by default.
It has `min_length` and `no_repeat_ngram_size` too, but shares out the probability of what it forbids."""


@dataclass
class CTranslate2EngineConfig(EngineConfig):
    """One transformer, beam or greedy search."""

    _target_: str = "seqexp.engines.ctranslate2.CTranslate2Engine"
    compute_type: Quantization | None = Quantization.float32
    """Number format of weights and products; null: the fastest of the device."""


class CTranslate2Engine(Engine):
    """Converts the model where that was not done yet, and opens it."""

    def __init__(self, config: CTranslate2EngineConfig) -> None:
        self.config = config

    def generator(self, config: GeneratorConfig, trained: Trained) -> Generator:
        _refuse_what_is_not_honoured(config)
        require(len(trained.models) == 1, "engine", "ctranslate2", f"it runs one model, not {len(trained.models)}")
        assert isinstance(config, SearchConfig)
        words = trained.task.vocabularies()
        require("source" in words, "engine", "ctranslate2", "it runs translation models")
        vocabularies = Vocabularies(words["source"], words["target"])
        (model,) = trained.models
        device = next(model.parameters()).device.type
        compute_type = "auto" if self.config.compute_type is None else self.config.compute_type.value
        known = import_extra("ctranslate2", EXTRA).get_supported_compute_types(device)
        right = f"this {device} has {', '.join(sorted(known))}"
        require(compute_type in (*known, "auto"), "engine.compute_type", compute_type, right)
        directory = trained.directory / "engines" / f"ctranslate2-{trained.content[0][:12]}"
        if not directory.is_dir():
            _convert(model, vocabularies, directory)
        translator = open_translator(directory, device, compute_type)
        return CTranslate2Search(config, translator, vocabularies)


def _convert(model: Model, vocabularies: Vocabularies, directory: Path) -> None:
    """
    Raises:
        UserError: CTranslate2 cannot express the model.
    """
    copy = deepcopy(model).float().cpu()
    if not isinstance(copy, Seq2SeqModel):
        raise UserError(
            f"engine=ctranslate2 is nothing for model={type(model).__name__}: only a transformer can be converted"
        )
    form = CTranslate2Format()
    with atomic_directory(directory) as temporary:
        agreement = write_checked(form, copy, vocabularies, temporary, random_batch(vocabularies, copy))
    logger.info("converted for CTranslate2: %s (differs by %.1g nats a token)", directory, agreement.mean_difference)


def _refuse_what_is_not_honoured(config: GeneratorConfig) -> None:
    """
    Raises:
        OptionError: another search than beam or greedy, or an option that would have no effect.
    """
    name = type(config).__name__
    known = type(config) in (BeamSearchConfig, GreedyConfig)
    require(known, "engine", "ctranslate2", f"it searches with generator=beam or greedy, not by {name}")
    default = type(config)()
    for field in dataclasses.fields(config):
        value, usual = getattr(config, field.name), getattr(default, field.name)
        if field.name not in HONOURED and value != usual:
            raise OptionError(
                f"generator.{field.name}={value} is nothing that engine=ctranslate2 can do: leave it {usual}, or "
                "take engine=torch"
            )


class CTranslate2Search(Search):
    """Gives what the search of the same options gives.

    Lengths are limited sentence by sentence, which CTranslate2 does not know. All are searched together with the limit
    of the longest, and again, with those of the same limit, the few of which a hypothesis is longer than its own limit.
    CTranslate2 returns what it has collected; which hypotheses are best is decided here, by the options. At its longest
    length one can only end, which CTranslate2 does not know either: it goes on by a token, which is replaced by `</s>`
    here. Only there, and where more hypotheses end in the last step than are wanted, can the outcome differ.
    """

    def __init__(self, config: SearchConfig, translator: Any, vocabularies: Vocabularies) -> None:
        words = vocabularies.target
        super().__init__(config, eos=words.eos, pad=words.pad, unk=words.unk)
        self.translator, self.vocabularies = translator, vocabularies
        beam = config if isinstance(config, BeamSearchConfig) else None
        self.beam_size, self.nbest = (beam.beam_size, beam.nbest) if beam else (1, 1)
        # With 0 CTranslate2 would end the search with the first hypothesis instead of collecting them.
        self.length_penalty = (config.length_penalty if config.normalize_scores else 0) or 1e-6

    def generate(self, models: Sequence[Seq2SeqModel], batch: PairBatch) -> list[list[Hypothesis]]:
        limits = self.max_lengths(models, batch)
        sources = source_symbols(batch, self.vocabularies.source)
        longest = models[0].max_source_positions
        for source in sources:
            if len(source) >= longest:
                raise OptionError(
                    f"max_source_positions={longest} is too small for a sequence of {len(source) + 1} tokens: raise it "
                    "or leave out longer sequences"
                )
        results = self._search(sources, max(limits))
        again = [row for row, result in enumerate(results) if max(map(len, result.hypotheses)) > limits[row]]
        for limit in {limits[row] for row in again}:
            rows = [row for row in again if limits[row] == limit]
            for row, result in zip(rows, self._search([sources[row] for row in rows], limit), strict=True):
                results[row] = result
        return self._scored(sources, [self._best(*each) for each in zip(results, limits, strict=True)])

    def _search(self, sources: list[list[str]], limit: int) -> list[Any]:
        found: list[Any] = self.translator.translate_batch(
            sources,
            beam_size=self.beam_size,
            num_hypotheses=self.beam_size,
            return_scores=True,
            length_penalty=self.length_penalty,
            suppress_sequences=[[PAD]],
            min_decoding_length=self._options.min_length,
            max_decoding_length=limit + 1,
            max_input_length=0,
            max_batch_size=self._batch_size(len(sources)),
        )
        return found

    def _batch_size(self, num_sentences: int) -> int:
        """So many that all of CTranslate2's workers have something to do."""
        num_workers: int = self.translator.num_translators
        return -(-num_sentences // num_workers)

    def _scored(self, sources: list[list[str]], best: list[list[list[str]]]) -> list[list[Hypothesis]]:
        """The hypotheses of each sentence with the scores of their tokens."""
        pairs = [(source, tokens) for source, nbest in zip(sources, best, strict=True) for tokens in nbest]
        found = self.translator.score_batch(
            *map(list, zip(*pairs, strict=True)), max_input_length=0, max_batch_size=self._batch_size(len(pairs))
        )
        scores = iter(torch.tensor(each.log_probs) for each in found)
        hypotheses = ([self._hypothesis(tokens, next(scores)) for tokens in nbest] for nbest in best)
        return [sorted(nbest, key=lambda hypothesis: -hypothesis.score) for nbest in hypotheses]

    def _best(self, result: Any, limit: int) -> list[list[str]]:
        """The tokens of the best hypotheses, without `</s>`."""
        scores: dict[tuple[str, ...], float] = {}
        for tokens, mean in zip(result.hypotheses, result.scores, strict=True):
            log_prob = torch.tensor(mean * (len(tokens) + 1) ** self.length_penalty)
            scores.setdefault(tuple(tokens[:limit]), float(self.score(log_prob, torch.tensor(len(tokens) + 1))))
        return [list(tokens) for tokens in sorted(scores, key=scores.__getitem__, reverse=True)[: self.nbest]]

    def _hypothesis(self, tokens: list[str], scores: Tensor) -> Hypothesis:
        score = self.score(scores.sum(), torch.tensor(len(scores)))
        return Hypothesis(_indices(tokens, self.vocabularies.target), float(score), scores)


def _indices(tokens: list[str], vocabulary: Vocabulary) -> Tensor:
    return torch.tensor([*map(vocabulary.index, tokens), vocabulary.eos])
