from collections import Counter

from seqexp.tokenizers.reservoir import sample_lines


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    lines = [str(number) for number in range(1000)]
    first = list(sample_lines(iter(lines), 50))
    assert first == list(sample_lines(iter(lines), 50))
    assert first != list(sample_lines(iter(lines), 50, seed=2))
    assert len(set(first)) == 50
    assert set(first) <= set(lines)


def test_fewer_lines_are_taken_as_they_are() -> None:
    assert list(sample_lines(iter("abc"), 5)) == ["a", "b", "c"]
    assert list(sample_lines(iter("abc"), 3)) == ["a", "b", "c"]
    assert list(sample_lines(iter(""), 3)) == []
    assert list(sample_lines(iter("abc"), None)) == ["a", "b", "c"]


def test_every_line_is_as_likely() -> None:
    drawn = Counter(line for seed in range(2000) for line in sample_lines("abcdefghij", 3, seed))
    assert set(drawn) == set("abcdefghij")
    assert all(500 < count < 700 for count in drawn.values())  # 600 each, give or take 20
