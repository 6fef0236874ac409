"""CTranslate2: a C++ engine for transformers on CPUs and GPUs, with weights of 8 or 16 bits."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import EOS, UNK, Vocabulary
from seqexp.formats.base import Format, Scores, Vocabularies
from seqexp.formats.ctranslate2_transformer import EXTRA, transformer_spec
from seqexp.models.base import Seq2SeqModel
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra


class Quantization(StrEnum):
    """How CTranslate2 keeps weights, and computes with them where the processor can."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
    int16 = "int16"
    int8 = "int8"
    int8_float32 = "int8_float32"
    int8_float16 = "int8_float16"
    int8_bfloat16 = "int8_bfloat16"


class CTranslate2Format(Format):
    """A directory that `ctranslate2.Translator` opens: `model.bin`, `config.json` and the vocabularies."""

    usage = """\
import ctranslate2

translator = ctranslate2.Translator("folder/model")
sentences = text.tokens(["A dog runs."])
for result in translator.translate_batch(sentences, beam_size=5):
    print(text.text_of_tokens(result.hypotheses[0]))"""

    def __init__(self, quantization: Quantization = Quantization.float32) -> None:
        """`quantization`: number format of the weights in the file; int8 takes a quarter of the space."""
        self.quantization = quantization
        self.tolerance = 1e-3 if quantization is Quantization.float32 else 0.1

    def write(self, model: Seq2SeqModel, vocabularies: Vocabularies, directory: Path) -> None:
        spec = transformer_spec(model)
        spec.register_source_vocabulary(_symbols(vocabularies.source))
        spec.register_target_vocabulary(_symbols(vocabularies.target))
        spec.config.decoder_start_token = EOS
        spec.config.eos_token = EOS
        spec.config.unk_token = UNK
        spec.config.add_source_eos = True
        spec.validate()
        spec.optimize(quantization=self.quantization.value)
        spec.save(str(directory))

    def load(self, vocabularies: Vocabularies, directory: Path) -> Scores:
        translator = open_translator(directory)

        def scores(batch: PairBatch) -> list[Tensor]:
            assert batch.target_tokens is not None
            sources = source_symbols(batch, vocabularies.source)
            targets = [_without_end(row, vocabularies.target) for row in batch.target_tokens.tolist()]
            results = translator.score_batch(sources, targets, max_input_length=0)
            return [torch.tensor(result.log_probs) for result in results]

        return scores


def open_translator(directory: Path, device: str = "cpu", compute_type: str = "default") -> Any:
    """The `ctranslate2.Translator` of a model's directory, with as many threads as torch has: a worker each, which
    takes less time than several that share a batch.

    Raises:
        UserError: ctranslate2 is not installed, or cannot read the files.
    """
    library = import_extra("ctranslate2", EXTRA)
    workers = torch.get_num_threads() if device == "cpu" else 1
    try:
        return library.Translator(
            str(directory), device=device, compute_type=compute_type, inter_threads=workers, intra_threads=1
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{directory}: CTranslate2 cannot open it: {str(error).splitlines()[0]}") from error


def source_symbols(batch: PairBatch, vocabulary: Vocabulary) -> list[list[str]]:
    """The source tokens of each sentence, without padding and `</s>`, which CTranslate2 adds."""
    return [_without_end(row, vocabulary) for row in batch.source_tokens.tolist()]


def _without_end(indices: list[int], vocabulary: Vocabulary) -> list[str]:
    symbols = [vocabulary.symbols[index] for index in indices if index != vocabulary.pad]
    return symbols[:-1]


def _symbols(vocabulary: Vocabulary) -> list[str]:
    """
    Raises:
        UserError: a token is there twice; CTranslate2 finds tokens by their name.
    """
    symbols = vocabulary.symbols
    if len(set(symbols)) < len(symbols):
        twice = next(symbol for number, symbol in enumerate(symbols) if symbol in symbols[:number])
        raise UserError(f"the vocabulary has the token {twice!r} twice, which CTranslate2 cannot tell apart")
    return symbols
