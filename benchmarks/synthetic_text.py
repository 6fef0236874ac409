"""Writes sentence pairs of realistic length and vocabulary, the same ones for the same number and seed.

    python benchmarks/synthetic_text.py PREFIX NUM_LINES [--seed 1]

makes PREFIX.en and PREFIX.de. Words are made of syllables, each language with its own, and drawn by Zipf's law;
sentence lengths are log-normal with a mean of 25 words, as in news text. Pairs have like lengths; otherwise the sides
are unrelated.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NUM_WORDS = 400_000
LINES_AT_ONCE = 50_000
SYLLABLES = {
    "en": "the in ing er on re an st ed at or es is it al ar ou tion ly ment con pro dis ble ful out age light ward",
    "de": "ein ver ge en er sch ung ich auf be aus lich keit heit ist an um wer tag zeit berg haus fen len ßen übe",
}


def make_words(language: str) -> list[str]:
    """Different words, the short ones first: the frequent ones. A word is its number in the base of the syllables."""
    syllables = SYLLABLES[language].split()
    words: dict[str, None] = {}
    number = 0
    while len(words) < NUM_WORDS:
        rest, word = number, ""
        while rest >= 0:
            rest, digit = divmod(rest, len(syllables))
            word, rest = syllables[digit] + word, rest - 1
        words[word] = None
        number += 1
    return list(words)


def zipf(count: int) -> NDArray[np.float64]:
    """Cumulated probabilities of the ranks."""
    weights = 1 / (np.arange(count) + 2.7)
    return np.cumsum(weights / weights.sum())


def write_pairs(prefix: Path, num_lines: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    words = {language: make_words(language) for language in SYLLABLES}
    cumulated = zipf(NUM_WORDS)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{prefix}.en").open("w", encoding="utf-8") as en, Path(f"{prefix}.de").open("w", encoding="utf-8") as de:
        for start in range(0, num_lines, LINES_AT_ONCE):
            lengths = np.clip(random.lognormal(3.05, 0.6, min(LINES_AT_ONCE, num_lines - start)), 1, 200)
            for language, file in (("en", en), ("de", de)):
                sizes = np.maximum(1, lengths * random.normal(1, 0.1, len(lengths))).astype(int)
                ranks = np.searchsorted(cumulated, random.random(sizes.sum())).clip(max=NUM_WORDS - 1)
                drawn = list(map(words[language].__getitem__, ranks.tolist()))
                ends = np.cumsum(sizes).tolist()
                lines = (drawn[a:b] for a, b in zip([0, *ends], ends, strict=False))
                file.writelines(" ".join(line).capitalize() + ".\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prefix", type=Path)
    parser.add_argument("num_lines", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    write_pairs(options.prefix, options.num_lines, options.seed)


if __name__ == "__main__":
    main()
