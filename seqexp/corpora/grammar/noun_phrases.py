"""Noun phrases, pronouns and names: determiners, adjective inflection, possessors and attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from seqexp.corpora.grammar.constituents import Case, Combination, Constituent, Gender, Person, Phrase
from seqexp.corpora.grammar.modifiers import CONTRACTIONS, Adjective, Preposition
from seqexp.corpora.grammar.nouns import Noun
from seqexp.corpora.grammar.numbers import cardinal

Declension = Literal["strong", "weak", "mixed"]
EndingTable = dict[Case, dict[Gender, str]]


def _table(*rows: str) -> EndingTable:
    """Parse rows for nominative, accusative, dative and genitive with columns m, f, n and plural."""
    cases: tuple[Case, ...] = ("nominative", "accusative", "dative", "genitive")
    genders: tuple[Gender, ...] = ("m", "f", "n", "pl")
    return {
        case: {gender: ending.strip("-") for gender, ending in zip(genders, row.split(), strict=True)}
        for case, row in zip(cases, rows, strict=True)
    }


ARTICLE = _table("der die das die", "den die das die", "dem der dem den", "des der des der")
RELATIVE_PRONOUN = _table("der die das die", "den die das die", "dem der dem denen", "dessen deren dessen deren")
_DER_WORD_ENDINGS = _table("er e es e", "en e es e", "em er em en", "es er es er")
_EIN_WORD_ENDINGS = _table("- e - e", "en e - e", "em er em en", "es er es er")
_NO_ENDINGS = _table("- - - -", "- - - -", "- - - -", "- - - -")
_ADJECTIVE_ENDINGS: dict[Declension, EndingTable] = {
    "strong": _table("er e es e", "en e es e", "em er em en", "en er en er"),
    "weak": _table("e e e en", "en e e en", "en en en en", "en en en en"),
    "mixed": _table("er e es en", "en e es en", "en en en en", "en en en en"),
}


@dataclass(frozen=True, slots=True)
class Determiner:
    """A determiner and the declension of the adjective that follows it in German."""

    english: str
    english_plural: str
    stem: str
    endings: EndingTable
    declension: Declension
    combinations: tuple[Combination, ...] = ()

    @property
    def is_definite(self) -> bool:
        """Whether the determiner itself presents the noun as known to the hearer."""
        return self.declension != "strong" and self.stem not in ("ein", "jed")

    def german(self, case: Case, gender: Gender) -> str:
        """Return the inflected German form."""
        return self.stem + self.endings[case][gender]


THE = Determiner("the", "the", "", ARTICLE, "weak")
A = Determiner("a", "", "ein", _EIN_WORD_ENDINGS, "mixed")
BARE = Determiner("", "", "", _NO_ENDINGS, "strong")
NO = Determiner("no", "no", "kein", _EIN_WORD_ENDINGS, "mixed")
THIS = Determiner("this", "these", "dies", _DER_WORD_ENDINGS, "weak")
EVERY = Determiner("every", "", "jed", _DER_WORD_ENDINGS, "weak")
WHICH = Determiner("which", "which", "welch", _DER_WORD_ENDINGS, "weak")
MANY = Determiner("", "many", "viel", _DER_WORD_ENDINGS, "strong")
SOME = Determiner("", "some", "einig", _DER_WORD_ENDINGS, "strong")
HOW_MANY = Determiner("", "how many", "wie viel", _DER_WORD_ENDINGS, "strong")
POSSESSIVES = tuple(
    Determiner(english, english, german, _EIN_WORD_ENDINGS, "mixed")
    for english, german in (("my", "mein"), ("his", "sein"), ("her", "ihr"), ("our", "unser"), ("their", "ihr"))
)


def numeral(number: int) -> Determiner:
    """Return a number from two upwards as a determiner."""
    english, german, combinations = cardinal(number)
    # Small numbers are part of the vocabulary; only composed ones are combinations.
    return Determiner("", english, german, _NO_ENDINGS, "strong", combinations if number > 20 else ())


def owner(name: str) -> Determiner:
    """Return a name in the genitive as a determiner ("Anna's old house", "Annas altes Haus")."""
    return Determiner(f"{name}'s", f"{name}'s", f"{name}s", _NO_ENDINGS, "strong")


@dataclass(frozen=True, slots=True)
class Pronoun:
    """A personal, relative or interrogative pronoun."""

    person: Person
    english_subject: str
    english_object: str
    nominative: str
    accusative: str
    dative: str
    gender: Gender = "m"
    head: str = ""
    combinations: tuple[Combination, ...] = ()

    is_pronoun = True

    def english(self, case: Case) -> str:
        """Return the subject or object form."""
        return self.english_subject if case == "nominative" else self.english_object

    def german(self, case: Case) -> str:
        """Return the German form."""
        if case == "nominative":
            return self.nominative
        return self.accusative if case == "accusative" else self.dative


PRONOUNS = (
    Pronoun("1sg", "I", "me", "ich", "mich", "mir"),
    Pronoun("3sg", "he", "him", "er", "ihn", "ihm"),
    Pronoun("3sg", "she", "her", "sie", "sie", "ihr"),
    Pronoun("1pl", "we", "us", "wir", "uns", "uns"),
    Pronoun("3pl", "they", "them", "sie", "sie", "ihnen"),
)
WHO = Pronoun("3sg", "who", "whom", "wer", "wen", "wem")


def relative_pronoun(antecedent: Phrase, english: str) -> Pronoun:
    """Return the German relative pronoun that agrees with its antecedent, paired with "who" or "that"."""
    nominative, accusative, dative = (
        RELATIVE_PRONOUN[case][antecedent.gender] for case in ("nominative", "accusative", "dative")
    )
    return Pronoun(antecedent.person, english, english, nominative, accusative, dative, antecedent.gender)


@dataclass(frozen=True, slots=True)
class Name:
    """A proper name, which has one form in all cases used here."""

    text: str

    person: Person = "3sg"
    gender: Gender = "m"
    head: str = ""
    combinations: tuple[Combination, ...] = ()

    is_pronoun = False

    def english(self, case: Case) -> str:
        """Return the name."""
        return self.text

    def german(self, case: Case) -> str:
        """Return the name."""
        return self.text


class NounPhrase(NamedTuple):
    """A determiner, an adjective and a noun, with what may surround them."""

    determiner: Determiner
    noun: Noun
    plural: bool = False
    adjective: Adjective | None = None
    superlative: bool = False
    possessor: NounPhrase | None = None  # "the man's house", "das Haus des Mannes"; the determiner is then THE
    whole: NounPhrase | None = None  # "the roof of the house"
    content: Noun | None = None  # "a cup of tea", "eine Tasse Tee"
    relative: Constituent | None = None

    @property
    def is_pronoun(self) -> bool:
        return False

    @property
    def person(self) -> Person:
        return "3pl" if self.plural else "3sg"

    @property
    def gender(self) -> Gender:
        return "pl" if self.plural else self.noun.gender

    @property
    def head(self) -> str:
        return self.noun.head

    @property
    def combinations(self) -> tuple[Combination, ...]:
        found = self.determiner.combinations + self.noun.combinations
        if self.adjective:
            found += (("adjective", self.adjective.english, self.noun.head),)
        for part in (self.possessor, self.whole, self.relative):
            if part:
                found += part.combinations
        return found

    def english(self, case: Case = "nominative") -> str:
        """Return the English phrase, which is the same in all cases."""
        words = [self._english_modifier(), self.noun.english_plural if self.plural else self.noun.english]
        determiner = self._english_determiner(next(word for word in words if word))
        words.insert(0, determiner)
        if self.whole:
            words.append(f"of {self.whole.english()}")
        if self.content:
            words.append(f"of {self.content.english}")
        if self.relative:
            words.append(self.relative.english)
        return " ".join(word for word in words if word)

    def _english_modifier(self) -> str:
        if not self.adjective:
            return ""
        return self.adjective.english_superlative if self.superlative else self.adjective.english

    def _english_determiner(self, next_word: str) -> str:
        if self.possessor:
            return f"{self.possessor.english()}'s"
        if self.plural:
            return self.determiner.english_plural
        if self.determiner is A and next_word[0] in "aeiou":
            return "an"
        return self.determiner.english

    def german(self, case: Case) -> str:
        """Return the German phrase in the given case; a relative clause is enclosed in commas."""
        determiner = self.determiner.german(case, self.gender)
        words = [determiner] if determiner else []
        if self.adjective:
            stem = self.adjective.superlative if self.superlative else self.adjective.stem
            words.append(stem + _ADJECTIVE_ENDINGS[self.determiner.declension][case][self.gender])
        words.append(self.noun.german(case, self.plural))
        words += [attribute.german("genitive") for attribute in (self.possessor, self.whole) if attribute]
        if self.content:
            words.append(self.content.nominative)
        phrase = " ".join(words)
        return f"{phrase}{self.relative.german}," if self.relative else phrase


def prepositional_phrase(preposition: Preposition, phrase: Phrase) -> Constituent:
    """Join a preposition and a phrase, contracting the article where German does (in dem: im)."""
    german = govern(preposition.german, phrase.german(preposition.case))
    return Constituent(f"{preposition.english} {phrase.english(preposition.case)}", german, phrase.combinations)


def govern(preposition: str, german: str) -> str:
    """Put a German preposition before a phrase."""
    first, _, rest = german.partition(" ")
    contraction = CONTRACTIONS.get((preposition, first))
    return f"{contraction} {rest}" if contraction and rest else f"{preposition} {german}"
