"""The graphs for ONNX and torch.export give the model's scores, for sizes that they were not made with."""

import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from seqexp.data.batch import PairBatch
from seqexp.formats.base import Format, Vocabularies
from seqexp.formats.checked import own_scores, random_batch, write_checked
from seqexp.formats.onnx import ONNXFormat
from seqexp.formats.torch import TorchFormat
from seqexp.models.transformer_stack import Positions
from seqexp.runtime.errors import UserError

from ..generators.stub import StubModel
from .conftest import MakeTransformer

POST_LEARNED: dict[str, Any] = {"normalize_before": False, "positions": Positions.learned}


def smallest(end: int) -> PairBatch:
    """One sentence, of which only the end is there."""
    only = torch.tensor([[end]])
    return PairBatch(torch.tensor([0]), 1, only, torch.tensor([1]), only, only)


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_scores_are_the_models(
    name: str, make_transformer: MakeTransformer, vocabularies: Vocabularies, tmp_path: Path
) -> None:
    form: Format
    if name == "onnx":
        for module in ("onnxscript", "onnxruntime"):
            pytest.importorskip(module, reason="needs the extra onnx")
        form, model = ONNXFormat(), make_transformer(encoder=POST_LEARNED)
    else:
        form, model = TorchFormat(), make_transformer(decoder=POST_LEARNED)
    batch = random_batch(vocabularies, model)
    assert write_checked(form, model, vocabularies, tmp_path, batch).largest_difference < 1e-4
    one = smallest(vocabularies.target.eos)
    (found,), (expected,) = form.load(vocabularies, tmp_path)(one), own_scores(model, one, vocabularies.target.pad)
    torch.testing.assert_close(found.detach(), expected, atol=1e-4, rtol=0)
    if name == "torch":
        for path in tmp_path.iterdir():
            with zipfile.ZipFile(path) as archive:
                assert not [entry for entry in archive.namelist() if is_pickle(archive.read(entry))]


def is_pickle(content: bytes) -> bool:
    """Also of an archive of torch's that holds one."""
    if content.startswith(b"PK"):
        return b"data.pkl" in content
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            list(pickletools.genops(content))
    except Exception:
        return False
    return content.startswith(b"\x80")


def test_only_a_transformer(vocabularies: Vocabularies, tmp_path: Path) -> None:
    model = StubModel(lambda sentence, beam, tokens: torch.zeros(4))
    with pytest.raises(UserError, match="model=StubModel cannot be exported with format=torch"):
        TorchFormat().write(model, vocabularies, tmp_path)
