"""Random phrases: noun phrases, adverbials, numbers and times."""

from __future__ import annotations

from functools import cache

from seqexp.corpora.grammar import modifiers, noun_phrases, numbers
from seqexp.corpora.grammar.constituents import Constituent, Person, Phrase
from seqexp.corpora.grammar.dice import Dice
from seqexp.corpora.grammar.modifiers import ADJECTIVES, Adjective, Preposition
from seqexp.corpora.grammar.noun_phrases import (
    BARE,
    THE,
    A,
    Determiner,
    Name,
    NounPhrase,
    Pronoun,
    prepositional_phrase,
)
from seqexp.corpora.grammar.nouns import COMPOUNDS, NAMES, NOUNS, Noun, nouns_tagged

CONTENTS = {
    "cup": ("tea", "coffee", "milk"),
    "glass": ("water", "milk", "juice", "wine", "beer"),
    "bottle": ("water", "milk", "juice", "wine", "beer"),
}


@cache
def adjectives_for(head: str) -> tuple[Adjective, ...]:
    """Return the adjectives that make sense with the noun."""
    noun = NOUNS[head]
    return tuple(
        adjective
        for adjective in ADJECTIVES.values()
        if head in adjective.tags or not noun.tags.isdisjoint(adjective.tags)
    )


@cache
def nouns_for(tags: tuple[str, ...]) -> tuple[Noun, ...]:
    """Return the nouns that carry one of the tags or are themselves named."""
    tagged = nouns_tagged(*tags)
    return tagged + tuple(NOUNS[tag] for tag in tags if tag in NOUNS and NOUNS[tag] not in tagged)


def noun(dice: Dice, tags: tuple[str, ...]) -> Noun:
    """Pick a noun, sometimes as the head of a compound."""
    head = dice.pick(nouns_for(tags))
    compounds = COMPOUNDS.get(head.english, ())
    return dice.pick(compounds) if compounds and dice.chance(0.25) else head


# A determiner, or the kind of one that is still to be picked.
DeterminerKinds = tuple[tuple[Determiner | str, float], ...]
_DEFINITE_PLURALS: DeterminerKinds = ((THE, 0.5), (noun_phrases.THIS, 0.1), ("possessive", 0.4))
_INDEFINITE_PLURALS: DeterminerKinds = (
    (BARE, 0.35), ("numeral", 0.35), (noun_phrases.MANY, 0.15), (noun_phrases.SOME, 0.15)
)  # fmt: skip
_DEFINITE_MASSES: DeterminerKinds = ((THE, 0.7), ("possessive", 0.3))
_MASSES: DeterminerKinds = ((BARE, 0.55), (THE, 0.3), ("possessive", 0.15))
_DEFINITE_SINGULARS: DeterminerKinds = (
    (THE, 0.47), ("possessive", 0.28), ("possessor", 0.1), ("owner", 0.06), (noun_phrases.THIS, 0.09)
)  # fmt: skip
_SINGULARS: DeterminerKinds = (
    (THE, 0.36), ("possessive", 0.2), ("possessor", 0.08), ("owner", 0.05), (noun_phrases.THIS, 0.06), (A, 0.22),
    (noun_phrases.EVERY, 0.03),
)  # fmt: skip


def noun_phrase(
    dice: Dice, tags: tuple[str, ...], definite: bool = False, adjective: float = 0.35, plural: float = 0.3
) -> NounPhrase:
    """Build a noun phrase; `definite` excludes what would not go with "nicht" or as a topic."""
    head = noun(dice, tags)
    if "attribute" in head.tags:
        return _modified(dice, THE, head, False, adjective)
    is_plural = bool(head.plural) and dice.chance(plural)
    if is_plural:
        kinds = _DEFINITE_PLURALS if definite or dice.chance(0.6) else _INDEFINITE_PLURALS
        return _modified(dice, _resolved(dice, dice.weighted(kinds), head), head, True, adjective)
    if "mass" in head.tags:
        adjective *= 1.5
        kinds = _DEFINITE_MASSES if definite else _MASSES
    else:
        kinds = _DEFINITE_SINGULARS if definite else _SINGULARS
    kind = dice.weighted(kinds)
    if kind == "owner" and "public" not in head.tags:
        return NounPhrase(noun_phrases.owner(dice.pick(NAMES)), head)
    if kind == "possessor" and "public" not in head.tags:
        return _modified(dice, THE, head, False, adjective, possessor=_possessor(dice))
    return _modified(dice, _resolved(dice, kind, head), head, False, adjective)


def _resolved(dice: Dice, kind: Determiner | str, head: Noun) -> Determiner:
    """Turn the kind of a determiner into a determiner; public places have no possessor."""
    if "kin" in head.tags and (kind is A or kind == "numeral"):
        kind = "possessive"
    if isinstance(kind, Determiner):
        return kind
    if kind == "numeral":
        return noun_phrases.numeral(dice.between(2, 12) if "person" in head.tags else number(dice))
    if "public" in head.tags:
        return THE
    return dice.pick(noun_phrases.POSSESSIVES)


def _possessor(dice: Dice) -> NounPhrase:
    """Build the short phrase of a person who owns something."""
    determiner = THE if dice.chance(0.6) else dice.pick(noun_phrases.POSSESSIVES)
    return _modified(dice, determiner, dice.pick(nouns_for(("person",))), False, 0.25)


def _modified(
    dice: Dice, determiner: Determiner, head: Noun, plural: bool, rate: float, possessor: NounPhrase | None = None
) -> NounPhrase:
    """Add an adjective, and to "the roof" the whole of which it is a part."""
    chosen: Adjective | None = None
    superlative = False
    options = adjectives_for(head.head)
    if options and dice.chance(rate):
        chosen = dice.pick(options)
        superlative = determiner is THE and bool(chosen.superlative) and not possessor and dice.chance(0.25)
    whole: NounPhrase | None = None
    if determiner is THE and not possessor:
        if "attribute" in head.tags:
            goods = noun(dice, ("clothes", "object", "device", "furniture"))
            whole = _modified(dice, THE, goods, dice.chance(0.2), 0.2)
        elif "part" in head.tags and not head.combinations and dice.chance(0.4):
            whole = _modified(dice, THE, dice.pick(nouns_for(("whole",))), False, 0.25)
    return NounPhrase(determiner, head, plural, chosen, superlative, possessor, whole)


def measure_phrase(dice: Dice) -> NounPhrase:
    """Build "a cup of tea" or "three bottles of water"."""
    vessel = dice.pick(tuple(CONTENTS))
    content = NOUNS[dice.pick(CONTENTS[vessel])]
    if dice.chance(0.5):
        return NounPhrase(A, NOUNS[vessel], content=content)
    return NounPhrase(noun_phrases.numeral(dice.between(2, 12)), NOUNS[vessel], True, content=content)


def phrase(
    dice: Dice,
    tags: tuple[str, ...],
    pronoun: float,
    definite: bool = False,
    adjective: float = 0.35,
    apart_from: Phrase | None = None,
) -> Phrase:
    """Build a noun phrase or, for persons, sometimes a pronoun or a name.

    No pronoun or name refers to `apart_from`, the subject, as that would require a reflexive.
    """
    if "person" in tags:
        if dice.chance(pronoun):
            return dice.pick(_pronouns_apart_from(apart_from.person if apart_from else "3sg"))
        if dice.chance(0.12):
            return Name(dice.pick([name for name in NAMES if apart_from != Name(name)]))
    return noun_phrase(dice, tags, definite, adjective)


@cache
def _pronouns_apart_from(person: Person) -> tuple[Pronoun, ...]:
    if person in ("3sg", "3pl"):
        # Twice "I", whose verb forms are its own.
        return (noun_phrases.PRONOUNS[0], *noun_phrases.PRONOUNS)
    return tuple(pronoun for pronoun in noun_phrases.PRONOUNS if pronoun.person in ("3sg", "3pl"))


def prepositional(dice: Dice, preposition: Preposition) -> Constituent:
    """Build an adverbial of place or direction."""
    return prepositional_phrase(preposition, noun_phrase(dice, preposition.tags, adjective=0.25, plural=0.15))


def place(dice: Dice) -> Constituent:
    """Build an adverbial of place."""
    weights = (0.45, 0.15, 0.1, 0.1, 0.1, 0.1)
    return prepositional(dice, dice.weighted(tuple(zip(modifiers.PLACE_PREPOSITIONS, weights, strict=True))))


def accompaniment(dice: Dice) -> Constituent:
    """Build "with fresh bread" or "without milk", which goes with a meal."""
    preposition = modifiers.WITH if dice.chance(0.7) else modifiers.WITHOUT
    head = dice.pick(nouns_for(("mass",)))
    return prepositional_phrase(preposition, _modified(dice, BARE, head, False, 0.8))


def participant(dice: Dice, preposition: Preposition, subject: Phrase) -> Constituent:
    """Build "with his brother" or "for the child"."""
    tags = ("person",) if preposition is modifiers.FOR else ("person", "pet")
    person = phrase(dice, tags, pronoun=0.2, adjective=0.2, apart_from=subject)
    return prepositional_phrase(preposition, person)


def number(dice: Dice) -> int:
    """Pick a number from two upwards, avoiding those that end in "one" after a hundred (hundertein Bücher)."""
    last = dice.weighted(((12, 0.5), (99, 0.3), (999, 0.2)))
    chosen = dice.between(2, last)
    return chosen + 1 if chosen % 100 == 1 else chosen


def clock_time(dice: Dice) -> Constituent:
    """Build a clock time."""
    hour = dice.between(1, 12)
    if dice.chance(0.4):
        return numbers.full_hour(hour)
    if dice.chance(0.25):
        return numbers.half_hour(hour)
    return numbers.minutes_and_hour(dice.pick(numbers.CLOCK_MINUTES), hour)


def date(dice: Dice, with_year: bool) -> Constituent:
    """Build a date."""
    month = dice.between(1, 12)
    day = dice.between(1, numbers.MONTHS[month - 1][2])
    return numbers.date(day, month, year(dice) if with_year else None)


def year(dice: Dice) -> int:
    """Pick a year."""
    return dice.between(1980, 2025)
