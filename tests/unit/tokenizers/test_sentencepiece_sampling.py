from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.runtime.errors import UserError
from seqexp.tokenizers.byte_bpe import ByteBPEConfig, ByteBPETokenizer
from seqexp.tokenizers.sampling import Sampler, SamplingConfig
from seqexp.tokenizers.sentencepiece import ModelType, SentencePieceConfig, SentencePieceTokenizer

LINES = ["the dog runs in the park", "a dog and a cat ran", "the cat sleeps in the house", "dogs sleep, cats run."] * 5
TEXT = "the cats run, a dog 漢字 ran"


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SentencePieceTokenizer]:
    def trained(**options: Any) -> SentencePieceTokenizer:
        config = SentencePieceConfig(**{"vocabulary_size": 28, **options})
        made = SentencePieceTokenizer(config, directory=tmp_path_factory.mktemp("model"), language="en")
        made.train(LINES)
        return made

    return trained


@pytest.fixture(scope="module")
def unigram(make: Callable[..., SentencePieceTokenizer]) -> SentencePieceTokenizer:
    return make()


@pytest.fixture(scope="module")
def bpe(make: Callable[..., SentencePieceTokenizer]) -> SentencePieceTokenizer:
    return make(model_type=ModelType.bpe, vocabulary_size=50)


def sampler(tokenizer: Any, **options: Any) -> Sampler:
    found = tokenizer.sampler(SamplingConfig(**options))
    assert found is not None
    return found  # type: ignore[no-any-return]


def test_the_kind_of_model_decides_which_option_it_obeys(
    unigram: SentencePieceTokenizer, bpe: SentencePieceTokenizer
) -> None:
    assert unigram.sampler(SamplingConfig(dropout=0.1)) is None
    assert bpe.sampler(SamplingConfig(alpha=0.1)) is None
    assert unigram.sampler(SamplingConfig()) is None
    assert bpe.sampler(SamplingConfig()) is None


@pytest.mark.parametrize("text", ["", "  ", "dog", TEXT, "漢 字", "▁▁ x", "a\0b", "x" * 600])
def test_the_limit_of_no_randomness_is_the_library(
    unigram: SentencePieceTokenizer, bpe: SentencePieceTokenizer, text: str
) -> None:
    assert sampler(bpe, dropout=1e-300)(text, Random(1)) == bpe.encode(text)
    assert sampler(unigram, alpha=1e6)(text, Random(1)) == unigram.encode(text)


@settings(deadline=None, max_examples=100)
@given(text=st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("the dogscat"), max_size=60))
def test_the_limit_is_the_library_for_any_text(bpe: SentencePieceTokenizer, text: str) -> None:
    assert sampler(bpe, dropout=1e-300)(text, Random(1)) == bpe.encode(text)


@pytest.mark.parametrize("options", [{"alpha": 0.2}, {"alpha": 0.2, "nbest_size": 8}])
def test_a_line_is_a_function_of_its_random_numbers_and_decodes(
    unigram: SentencePieceTokenizer, options: dict[str, Any]
) -> None:
    sample = sampler(unigram, **options)
    first = [sample(TEXT, Random(number)) for number in range(50)]
    again = sampler(unigram, **options)
    assert [again(TEXT, Random(number)) for number in reversed(range(50))] == first[::-1]
    assert len(set(first)) > 5
    assert {unigram.decode(tokens) for tokens in first} == {TEXT}
    assert sample("", Random(1)) == ""


def test_draws_are_distributed_as_those_of_the_library(unigram: SentencePieceTokenizer) -> None:
    sample, random, count = sampler(unigram, alpha=0.5), Random(1), 4000
    ours = Counter(sample("the dogs", random) for _ in range(count))
    processor = unigram.processor
    drawn = (
        processor.encode("the dogs", out_type=str, enable_sampling=True, alpha=0.5, nbest_size=-1) for _ in range(count)
    )
    theirs = Counter(" ".join(pieces) for pieces in drawn)
    for tokens in {*ours, *theirs}:
        assert abs(ours[tokens] - theirs[tokens]) < 6 * (ours[tokens] + theirs[tokens] + 4) ** 0.5


def test_only_the_best_are_drawn_among_when_so_many_are_asked_for(unigram: SentencePieceTokenizer) -> None:
    sample = sampler(unigram, alpha=0.0, nbest_size=2)
    found = {sample("the dogs", Random(number)) for number in range(40)}
    assert found == {" ".join(pieces) for pieces in unigram.processor.nbest_encode_as_pieces("the dogs", 2)}


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 0.0, "nbest_size": 20}])
def test_only_pieces_of_the_vocabulary_are_drawn(unigram: SentencePieceTokenizer, options: dict[str, Any]) -> None:
    text = "the dogs 漢 ran"
    free = {piece for n in range(60) for piece in sampler(unigram, **options)(text, Random(n)).split()}
    usual = set(unigram.encode(text).split())
    assert free - usual
    restricted = unigram.sampler(SamplingConfig(**options), usual)
    assert restricted is not None
    assert {piece for n in range(60) for piece in restricted(text, Random(n)).split()} <= usual
    nothing = unigram.sampler(SamplingConfig(**options), set())
    assert nothing is not None
    assert unigram.decode(nothing(text, Random(1))) == text


def test_unknown_characters_may_be_bytes(make: Callable[..., SentencePieceTokenizer]) -> None:
    made = make(byte_fallback=True, vocabulary_size=285)
    tokens = sampler(made, alpha=0.1)("dog 漢", Random(1))
    assert "<0xE6> <0xBC> <0xA2>" in tokens
    assert made.decode(tokens) == "dog 漢"


def test_pieces_across_words(tmp_path: Path) -> None:
    with (tmp_path / "given").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES),
            model_writer=model,
            vocab_size=60,
            model_type="bpe",
            split_by_whitespace=False,
            minloglevel=2,
        )
    config = SentencePieceConfig(model=str(tmp_path / "given"), model_type=ModelType.unigram)  # the file knows better
    made = SentencePieceTokenizer(config, directory=tmp_path, language="en")
    made.train([])
    assert any("▁" in piece[1:] for piece in made.encode(LINES[0]).split())
    assert sampler(made, dropout=1e-300)(LINES[0], Random(1)) == made.encode(LINES[0])


def test_models_with_pieces_by_other_rules_are_refused(tmp_path: Path) -> None:
    with (tmp_path / "given").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES),
            model_writer=model,
            vocab_size=40,
            model_type="bpe",
            user_defined_symbols=["<sep>"],
            minloglevel=2,
        )
    made = SentencePieceTokenizer(SentencePieceConfig(model=str(tmp_path / "given")), directory=tmp_path, language="en")
    made.train([])
    with pytest.raises(UserError, match=r"user-defined or unused pieces \(<sep>\)"):
        made.sampler(SamplingConfig(dropout=0.1))


def test_byte_level_bpe(tmp_path: Path) -> None:
    made = ByteBPETokenizer(ByteBPEConfig(vocabulary_size=50), directory=tmp_path, language="en")
    made.train(LINES)
    assert made.sampler(SamplingConfig(alpha=0.1)) is None
    assert sampler(made, dropout=1e-300)(TEXT, Random(1)) == made.encode(TEXT)
    found = {sampler(made, dropout=0.5)(TEXT, Random(number)) for number in range(10)}
    assert len(found) > 3
    assert {made.decode(tokens) for tokens in found} == {TEXT}
