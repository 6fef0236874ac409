"""Sampling with SentencePiece models.

The library's own draws come from a generator that each thread seeds once, so they depend on all that was drawn before.
Here the model's pieces and scores are used with our own draws, which depend on the line alone.
"""

import importlib
import re
from collections.abc import Callable
from random import Random
from typing import Any

import sentencepiece

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.sampling import LatticeSampler, MergeSampler, Sampler, SamplingConfig, Symbols, Vocabulary, draw

# Its classes are made when it is imported, so the type checker knows none.
model_proto: Any = importlib.import_module("sentencepiece.sentencepiece_model_pb2")

SPACE = "▁"
UNKNOWN_PENALTY = 10.0
"""By so much an unknown character scores below the worst piece, in the library's unigram models."""


def clean(line: str) -> str:
    """Without white space other than single spaces, nor NUL, which ends a string in the library's C++."""
    return " ".join(line.replace("\0", " ").split())


class Pieces:
    """What sampling must know of a model.

    Raises:
        UserError: it has pieces by rules that are not known here.
    """

    def __init__(self, processor: sentencepiece.SentencePieceProcessor) -> None:
        model = model_proto.ModelProto.FromString(processor.serialized_model_proto())
        kinds = model_proto.ModelProto.SentencePiece
        special = [piece.piece for piece in model.pieces if piece.type in (kinds.USER_DEFINED, kinds.UNUSED)]
        if special:
            raise UserError(f"task.sampling: the SentencePiece model has user-defined or unused pieces ({special[0]})")
        self.model_type = model_proto.TrainerSpec.ModelType.Name(model.trainer_spec.model_type)
        self.byte_fallback = model.trainer_spec.byte_fallback
        self.scores = {piece.piece: piece.score for piece in model.pieces if piece.type == kinds.NORMAL}
        if any(SPACE in piece[1:] for piece in self.scores):
            self._words = re.compile(".+", re.DOTALL)
        else:
            self._words = re.compile(f"{SPACE}[^{SPACE}]*|[^{SPACE}]+")

    def words(self, normalized: str) -> list[str]:
        """The parts of a sentence that no piece crosses."""
        return self._words.findall(normalized)

    def are_in(self, vocabulary: Vocabulary | None) -> Callable[[Symbols], bool]:
        """Whether a vocabulary has the pieces of a text; what is none, an unknown character, does not count."""
        if vocabulary is None:
            return lambda pieces: True
        lacking = {piece for piece in self.scores if piece not in vocabulary}
        return lacking.isdisjoint

    def written(self, pieces: list[str]) -> str:
        """Pieces as the library gives them: unknown characters as their bytes, or those side by side as one piece."""
        if self.scores.keys() >= set(pieces):
            return " ".join(pieces)
        found: list[str] = []
        after_unknown = False
        for piece in pieces:
            is_unknown = piece not in self.scores
            if is_unknown and self.byte_fallback:
                found += [f"<0x{byte:02X}>" for byte in piece.encode("utf-8")]
            elif is_unknown and after_unknown:
                found[-1] += piece
            else:
                found.append(piece)
            after_unknown = is_unknown
        return " ".join(found)


def merge_sampler(
    processor: sentencepiece.SentencePieceProcessor,
    pieces: Pieces,
    sampling: SamplingConfig,
    vocabulary: Vocabulary | None,
) -> Sampler:
    """BPE-dropout: any two symbols may be merged that make a piece, the piece of the highest score first."""
    ranks = {
        (piece[:i], piece[i:]): -score
        for piece, score in pieces.scores.items()
        for i in range(1, len(piece))
        if (i == 1 or piece[:i] in pieces.scores) and (i == len(piece) - 1 or piece[i:] in pieces.scores)
    }
    merge = MergeSampler(ranks, sampling.dropout, pieces.are_in(vocabulary))

    def sample(line: str, random: Random) -> str:
        words = pieces.words(processor.normalize(clean(line)))
        return pieces.written([piece for word in words for piece in merge(tuple(word), random)])

    return sample


def lattice_sampler(
    processor: sentencepiece.SentencePieceProcessor,
    pieces: Pieces,
    sampling: SamplingConfig,
    vocabulary: Vocabulary | None,
) -> Sampler:
    """Draws among all ways to cut a sentence: word by word, which is the same, since no piece crosses words."""
    assert sampling.alpha is not None
    known = {piece: score for piece, score in pieces.scores.items() if vocabulary is None or piece in vocabulary}
    avoided = [piece for piece in pieces.scores if len(piece) == 1 and piece not in known]
    cut = LatticeSampler(known, min(pieces.scores.values()) - UNKNOWN_PENALTY, sampling.alpha, avoided)

    def sample(line: str, random: Random) -> str:
        words = pieces.words(processor.normalize(clean(line)))
        return pieces.written([piece for word in words for piece in cut(word, random)])

    return sample


def nbest_sampler(
    processor: sentencepiece.SentencePieceProcessor,
    pieces: Pieces,
    sampling: SamplingConfig,
    vocabulary: Vocabulary | None,
) -> Sampler:
    """Draws among the best ways to cut a sentence, which the library lists with their scores.

    Of those, the ones with a piece that the vocabulary lacks are passed over, if there are others.
    """
    alpha = sampling.alpha
    assert alpha is not None
    is_known = pieces.are_in(vocabulary)

    def sample(line: str, random: Random) -> str:
        listed = processor.nbest_encode(clean(line), nbest_size=sampling.nbest_size, return_type="proto").nbests
        candidates = [each for each in listed if is_known(tuple(piece.piece for piece in each.pieces))] or listed
        chosen = candidates[draw([alpha * each.score for each in candidates], random)]
        return " ".join(piece.piece for piece in chosen.pieces)

    return sample
