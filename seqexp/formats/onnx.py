"""ONNX: graphs for onnxruntime and other programs."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqexp.formats.base import Format, Scores, Vocabularies
from seqexp.formats.graphs import (
    DECODER_INPUTS,
    DECODER_OUTPUTS,
    ENCODER_INPUTS,
    ENCODER_OUTPUTS,
    Graph,
    exported_programs,
    scores_of_graphs,
)
from seqexp.models.base import Seq2SeqModel
from seqexp.runtime.extras import import_extra

EXTRA = "onnx"
INPUTS = {"encoder": ENCODER_INPUTS, "decoder": DECODER_INPUTS}
OUTPUTS = {"encoder": ENCODER_OUTPUTS, "decoder": DECODER_OUTPUTS}


class ONNXFormat(Format):
    """`encoder.onnx` and `decoder.onnx`, in float32, by torch's exporter of captured graphs; checked in onnxruntime."""

    tolerance = 1e-3
    usage = """\
import numpy
import onnxruntime

encoder, decoder = (onnxruntime.InferenceSession(f"folder/model/{name}.onnx") for name in ("encoder", "decoder"))
source = text.indices(["A dog runs."])
states, padding = encoder.run(None, {"source_tokens": source})
tokens = numpy.full((len(source), 1), text.end)
while tokens.shape[1] < 100 and not (tokens[:, 1:] == text.end).any(axis=1).all():
    inputs = {"previous_tokens": tokens, "states": states, "padding": padding}
    (log_probs,) = decoder.run(None, inputs)
    tokens = numpy.concatenate([tokens, log_probs[:, -1:].argmax(axis=2)], axis=1)
for row in tokens:
    print(text.text_of_indices(row))"""

    def write(self, model: Seq2SeqModel, vocabularies: Vocabularies, directory: Path) -> None:
        for module in ("onnx", "onnxscript", "onnxruntime"):
            import_extra(module, EXTRA)
        programs = dict(zip(INPUTS, exported_programs(model, "onnx"), strict=True))
        for name, program in programs.items():
            with _quiet():
                exported = torch.onnx.export(
                    program, dynamo=True, input_names=INPUTS[name], output_names=OUTPUTS[name], verbose=False
                )
            assert exported is not None
            exported.save(directory / f"{name}.onnx")

    def load(self, vocabularies: Vocabularies, directory: Path) -> Scores:
        encoder, decoder = (_session(directory, name) for name in INPUTS)
        return scores_of_graphs(encoder, decoder, vocabularies.target.pad)


def _session(directory: Path, name: str) -> Graph:
    runtime: Any = import_extra("onnxruntime", EXTRA)
    session = runtime.InferenceSession(str(directory / f"{name}.onnx"), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = {key: tensor.numpy() for key, tensor in zip(INPUTS[name], inputs, strict=True)}
        return tuple(torch.from_numpy(output) for output in session.run(None, arrays))

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of what it does itself, and of libraries that it can do without."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
