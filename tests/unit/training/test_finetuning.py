"""Weights of another model, as far as they fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from seqexp.checkpoint.layout import MODEL, open_checkpoint
from seqexp.checkpoint.tensors import TensorSet
from seqexp.checkpoint.writing import Content, write_checkpoint
from seqexp.data.batch import Batch
from seqexp.data.vocabulary import Vocabulary
from seqexp.models.base import Model, ModelOutput
from seqexp.runtime.errors import UserError
from seqexp.training.finetuning import FinetuneConfig, Source, take_over

OLD = ["cat", "dog", "bird"]
NEW = ["fish", "bird", "cat", "cow", "ox"]


class WordModel(Model):
    """An embedding, which is the output projection too, and a layer."""

    def __init__(self, words: list[str], width: int = 4, head: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(len(words) + 4, width)
        self.hidden = nn.Linear(width, width)
        self.head = nn.Linear(width, head)
        self.projection = nn.Linear(width, len(words) + 4, bias=False)
        self.projection.weight = self.embedding.weight

    def forward(self, batch: Batch) -> ModelOutput:
        raise NotImplementedError

    def token_tensors(self) -> dict[str, str]:
        return {"embedding.weight": "source", "projection.weight": "target"}


class SilentModel(WordModel):
    def token_tensors(self) -> dict[str, str]:
        return {}


def vocabulary(words: list[str]) -> dict[str, Vocabulary]:
    words_and_specials = Vocabulary()
    for word in words:
        words_and_specials.add(word)
    return {"source": words_and_specials, "target": words_and_specials}


def source(path: Path, model: Model, words: list[str] = OLD) -> Source:
    write_checkpoint(path, Content(3, {}, {}, {}, {MODEL: TensorSet.of(model.state_dict())}))
    return Source(open_checkpoint(path), vocabulary(words))


def test_all_of_it(tmp_path: Path) -> None:
    old, new = WordModel(OLD), WordModel(OLD)
    found = take_over(new, source(tmp_path, old), FinetuneConfig(), vocabulary(OLD))
    assert all(torch.equal(tensor, old.state_dict()[name]) for name, tensor in new.state_dict().items())
    assert found.loaded == ["embedding.weight", "hidden.weight", "hidden.bias", "head.weight", "head.bias"]
    assert (found.matched, found.fresh, found.unused) == ({}, {}, [])


@pytest.mark.parametrize("new_words", [NEW, ["dog", "bird", "cat"]], ids=["other-size", "same-size"])
def test_another_vocabulary_takes_over_the_words_that_both_have(tmp_path: Path, new_words: list[str]) -> None:
    old, new = WordModel(OLD), WordModel(new_words)
    before = new.embedding.weight.clone()
    found = take_over(new, source(tmp_path, old), FinetuneConfig(), vocabulary(new_words))
    both = [word for word in new_words if word in OLD]
    for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *new_words]):
        known = index < 4 or word in both
        expected = old.embedding.weight[index if index < 4 else 4 + OLD.index(word)] if known else before[index]
        assert torch.equal(new.embedding.weight[index], expected)
    assert new.projection.weight is new.embedding.weight
    assert found.matched == {"embedding.weight": f"{4 + len(both)} of {4 + len(new_words)} rows"}
    assert len(found.loaded) == 4


def test_embeddings_may_begin_fresh(tmp_path: Path) -> None:
    new = WordModel(NEW)
    before = new.embedding.weight.clone()
    found = take_over(new, source(tmp_path, WordModel(OLD)), FinetuneConfig(match_tokens=False), vocabulary(NEW))
    assert torch.equal(new.embedding.weight, before)
    assert found.fresh == {"embedding.weight": "finetune.match_tokens=false"}


def test_another_head(tmp_path: Path) -> None:
    old, new = WordModel(OLD), WordModel(OLD, head=5)
    new.extra = nn.Linear(1, 1, bias=False)
    old.unused = nn.Linear(2, 2, bias=False)
    before = new.head.weight.clone()
    beginning = source(tmp_path, old)
    config = FinetuneConfig(fresh=["head.*", "extra.weight"])
    for found in (
        take_over(new, beginning, config, vocabulary(OLD)),
        take_over(new, beginning, FinetuneConfig(strict=False), vocabulary(OLD)),
    ):
        assert torch.equal(new.head.weight, before)
        assert torch.equal(new.hidden.weight, old.hidden.weight)
        assert found.fresh.keys() == {"head.weight", "head.bias", "extra.weight"}
        assert found.unused == ["unused.weight"]
    assert found.fresh["head.weight"] == "5x4 here and 2x4 in the checkpoint"
    assert found.fresh["extra.weight"] == "not in the checkpoint"
    assert found.lines() == [
        f"weights of {tmp_path}: 3 tensors as they are",
        "  fresh: head.weight (5x4 here and 2x4 in the checkpoint)",
        "  fresh: head.bias (5 here and 2 in the checkpoint)",
        "  fresh: extra.weight (not in the checkpoint)",
        "  not used: unused.weight",
    ]


def test_a_pattern_that_names_a_tied_weight_by_its_other_name(tmp_path: Path) -> None:
    new = WordModel(OLD)
    before = new.embedding.weight.clone()
    config = FinetuneConfig(fresh=["projection.*"])
    found = take_over(new, source(tmp_path, WordModel(OLD)), config, vocabulary(OLD))
    assert torch.equal(new.embedding.weight, before)
    assert found.fresh == {"embedding.weight": "finetune.fresh=projection.*"}


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            WordModel(OLD, head=5),
            {},
            r"head\.weight is 5x4 here .*; let it begin fresh with finetune\.fresh=\[head\.wei",
        ),
        (WordModel(NEW, width=3), {}, r"embedding\.weight is 9x3 here and 7x4 in the checkpoint"),
        (WordModel(OLD), {"fresh": ["*"]}, "nothing of it is taken over"),
        (WordModel(NEW, width=3, head=5), {"strict": False}, "nothing of it is taken over"),
        (
            WordModel(OLD),
            {"fresh": ["heads.*"]},
            r"finetune\.fresh=heads\.\* matches no parameter .* did you mean head\.",
        ),
        (SilentModel(NEW), {"strict": False}, "SilentModel does not say which parameters belong to tokens"),
    ],
    ids=["head", "width", "all-fresh", "nothing-fits", "pattern", "silent"],
)
def test_what_does_not_fit_is_told(tmp_path: Path, model: Model, options: dict[str, Any], message: str) -> None:
    assert isinstance(model, WordModel)
    words = vocabulary(OLD if model.embedding.num_embeddings == 7 else NEW)
    beginning = source(tmp_path, WordModel(OLD))
    with pytest.raises(UserError, match=message):
        take_over(model, beginning, FinetuneConfig(**options), words)
