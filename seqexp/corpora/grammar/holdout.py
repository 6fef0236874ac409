"""Which lexical combinations are kept out of the training split."""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from seqexp.corpora.grammar.constituents import Combination

# Share of the combinations of each kind that is held out.
RATES = {
    "object": 0.10,  # verb and head noun of its object
    "adjective": 0.10,  # adjective and noun, attributive or predicative
    "conjugation": 0.12,  # verb, tense or modal verb, and person of the subject
    "compound": 0.15,  # the two parts of a compound noun
    "number": 0.15,
    "date": 0.15,
    "clock": 0.15,
}


@cache
def is_held_out(combination: Combination) -> bool:
    """Whether the combination occurs only in the validation and test splits.

    Decided by a hash of the combination alone, so it holds for every seed and size of the corpus.
    """
    if not _may_be_held_out(combination):
        return False
    digest = sha256("|".join(combination).encode()).digest()
    return int.from_bytes(digest[:4], "big") < RATES[combination[0]] * 2**32


def _may_be_held_out(combination: Combination) -> bool:
    """Spare the combinations without which some word form would be missing from training.

    The present tense has forms of its own for the first and third person singular; the other simple forms are
    shared: ich/er kaufte, wir/sie kauften.
    """
    kind, *rest = combination
    if kind == "conjugation":
        _, tense, person = rest
        if tense == "present":
            return person == "1pl"
        if tense == "past":
            return person in ("1sg", "1pl")
    if kind == "number":
        return int(rest[0]) > 20 and int(rest[0]) % 10 > 0 and int(rest[0]) % 100 > 20
    return True


def split_of_held_out(english: str) -> str:
    """Assign a sentence with a held-out combination to "valid" or "test"."""
    return "test" if sha256(english.encode()).digest()[0] % 2 else "valid"
