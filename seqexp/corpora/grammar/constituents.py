"""The smallest bilingual building block, and the grammatical categories shared by both languages."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

Case = Literal["nominative", "accusative", "dative", "genitive"]
Gender = Literal["m", "f", "n", "pl"]  # in German, gender is neutralised in the plural
Person = Literal["1sg", "3sg", "1pl", "3pl"]
Combination = tuple[str, ...]


class Constituent(NamedTuple):
    """A finished English phrase, its German translation and the lexical combinations it contains."""

    english: str
    german: str
    combinations: tuple[Combination, ...] = ()


class Phrase(Protocol):
    """A nominal phrase: its form depends on the case that the verb or preposition assigns."""

    @property
    def person(self) -> Person: ...

    @property
    def gender(self) -> Gender: ...

    @property
    def is_pronoun(self) -> bool: ...

    @property
    def head(self) -> str:
        """Dictionary form of the head noun; empty for pronouns and names."""
        ...

    @property
    def combinations(self) -> tuple[Combination, ...]: ...

    def english(self, case: Case) -> str: ...

    def german(self, case: Case) -> str: ...
