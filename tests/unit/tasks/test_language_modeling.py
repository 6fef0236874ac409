from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqexp.catalog import CATALOG
from seqexp.config.build import build
from seqexp.corpora.text import TextCorpusConfig
from seqexp.data.blocks import Blocks, Shorten
from seqexp.data.policies import EmptyLines, LinePolicyConfig
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.models.base import LanguageModel
from seqexp.models.transformer import TransformerConfig
from seqexp.models.transformer_lm import TransformerLMConfig
from seqexp.runtime.errors import UserError
from seqexp.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from seqexp.tokenizers.whitespace import WhitespaceConfig

TEXT = "a b c\nd e\n\na a a a\n"
"""Two documents: lines of 4, 3 and 5 tokens."""


@pytest.fixture
def make_task(tmp_path: Path) -> Callable[..., LanguageModelingTask]:
    """A task with this text; `empty` says what becomes of its blank line."""

    def make(empty: EmptyLines = EmptyLines.keep, **options: Any) -> LanguageModelingTask:
        (tmp_path / "text").write_text(TEXT)
        config = PrepareConfig(
            corpus=TextCorpusConfig(language="en", train=str(tmp_path / "text"), valid=str(tmp_path / "text")),
            tokenizer=WhitespaceConfig(),
            subword=WhitespaceConfig(),
            lines=LinePolicyConfig(empty=empty),
            destination=str(tmp_path / "data"),
            num_workers=1,
        )
        data = str(prepare(config, CATALOG).directory)
        task: LanguageModelingTask = build(LanguageModelingConfig(data=data, **options), components=CATALOG)
        return task

    return make


def model_of(task: LanguageModelingTask, max_target_positions: int = 16) -> LanguageModel:
    config = TransformerLMConfig(
        num_layers=1, hidden_size=8, ffn_size=8, num_heads=1, max_target_positions=max_target_positions
    )
    model = task.build_model(config)
    assert isinstance(model, LanguageModel)
    return model


def sizes(task: LanguageModelingTask, split: str = "train", **options: Any) -> list[int]:
    found: list[int] = task.load_split(split, model_of(task), **options).sizes.tolist()
    return found


def test_a_text_corpus_becomes_blocks(make_task: Callable[..., LanguageModelingTask]) -> None:
    assert sizes(make_task(tokens_per_sample=6)) == [6, 6, 1]
    assert sizes(make_task(tokens_per_sample=6, blocks=Blocks.complete_doc)) == [4, 3, 5]
    assert sizes(make_task(tokens_per_sample=9, blocks=Blocks.complete_doc)) == [7, 5]


def test_only_some_splits_are_shortened(make_task: Callable[..., LanguageModelingTask]) -> None:
    options = {"shorten": Shorten.truncate, "shorten_splits": ["train"], "blocks": Blocks.eos, "tokens_per_sample": 3}
    task = make_task(**options)
    assert sizes(task) == [3, 3, 1, 3]
    assert sizes(task, "valid") == [4, 3, 1, 5]


def test_a_fixed_length(make_task: Callable[..., LanguageModelingTask]) -> None:
    task = make_task(tokens_per_sample=9, blocks=Blocks.eos, pad_to_fixed_length=True)
    split = task.load_split("train", model_of(task), for_training=True)
    assert split.collate(split.bounds[:1, 0]).previous_tokens.shape == (1, 9)
    assert task.load_split("valid", model_of(task)).collate(split.bounds[:1, 0]).previous_tokens.shape == (1, 4)


def test_documents_need_their_blank_lines(make_task: Callable[..., LanguageModelingTask]) -> None:
    task = make_task(empty=EmptyLines.drop, blocks=Blocks.complete_doc, tokens_per_sample=9)
    with pytest.raises(UserError, match=r"lacks the blank lines .* of train; prepare it again with lines.empty=keep"):
        sizes(task)
    assert sizes(task, "valid") == [7, 5]  # only the train split loses lines


def test_the_model_is_too_short(make_task: Callable[..., LanguageModelingTask]) -> None:
    task = make_task(tokens_per_sample=17)
    with pytest.raises(ValueError, match=r"task.tokens_per_sample=17 .* the model takes 16 tokens at most"):
        sizes(task)
    task = make_task(blocks=Blocks.eos)
    with pytest.raises(UserError, match="longer than 4 tokens"):
        task.load_split("train", model_of(task, 4), for_training=True)


def test_another_kind_of_model(make_task: Callable[..., LanguageModelingTask]) -> None:
    with pytest.raises(UserError, match="a Transformer does not fit the task, which takes a language model such as"):
        make_task().build_model(TransformerConfig())


def test_another_language(make_task: Callable[..., LanguageModelingTask]) -> None:
    with pytest.raises(UserError, match=r"task.language=de: the data holds en"):
        make_task(language="de")


def test_an_option_without_effect() -> None:
    with pytest.raises(ValueError, match="shorten_splits"):
        LanguageModelingConfig(shorten_splits=["train"])
