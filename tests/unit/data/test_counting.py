from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp.data import counting, text
from seqexp.data.counting import TokenCounts, count_tokens, learn_vocabulary
from seqexp.data.ledger import Ledger
from seqexp.data.text import Workers, split_file
from seqexp.data.vocabulary import Vocabulary

WORDS = ["a", "bb", "ä", "漢", "</s>", "<pad>", "\0", '"', "\\", "\x7f"]


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("max_tokens", [1, 100])
def test_every_token_of_every_chunk_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int, max_tokens: int
) -> None:
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 60)
    monkeypatch.setattr(counting, "MIN_PART_BYTES", 100)
    monkeypatch.setattr(counting, "MAX_TOKENS_IN_MEMORY", max_tokens)
    words = [WORDS[i * i % len(WORDS)] + "x" * (i % 3) for i in range(500)]
    path = tmp_path / "text"
    path.write_text("".join(f"{word}{' ' if i % 7 else chr(10)}" for i, word in enumerate(words)), newline="\n")
    chunks = split_file(path)
    assert len(chunks) > 5
    with Workers(num_workers) as workers:
        counts = count_tokens(chunks * 2, "en", tmp_path, Ledger(tmp_path, workers))
    assert counts.most_frequent(0, None) == {word: 2 * count for word, count in Counter(words).items()}
    assert [*tmp_path.glob("*.run*")] != [] or max_tokens == 100


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(WORDS), st.integers(1, 4)), max_size=6),
    st.integers(0, 6),
    st.one_of(st.none(), st.integers(5, 12)),
)
def test_runs_on_disk_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, parts: list[dict[str, int]], threshold: int, max_size: int | None
) -> None:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    expected = Vocabulary.from_counts(total, threshold=threshold, max_size=max_size, multiple_of=1)
    for max_tokens in (2, 100):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counting, "MAX_TOKENS_IN_MEMORY", max_tokens)
            counts = TokenCounts(tmp_path_factory.mktemp("runs"), "x")
            for part in parts:
                counts.add(part)
            found = learn_vocabulary(counts, threshold=threshold, max_size=max_size, multiple_of=1)
        assert (found.symbols, found.counts) == (expected.symbols, expected.counts)
