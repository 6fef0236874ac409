"""Random phrases: noun phrases, adverbials, numbers and times."""

from __future__ import annotations

from functools import cache

from seqexp.corpora.grammar import modifiers, numbers
from seqexp.corpora.grammar.constituents import Constituent, Person, Phrase
from seqexp.corpora.grammar.dice import Dice, weighted
from seqexp.corpora.grammar.modifiers import ADJECTIVES, Adjective, Preposition
from seqexp.corpora.grammar.noun_phrases import (
    BARE,
    EVERY,
    MANY,
    POSSESSIVES,
    PRONOUNS,
    SOME,
    THE,
    THIS,
    A,
    Determiner,
    Name,
    NounPhrase,
    Pronoun,
    numeral,
    owner,
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
DeterminerKinds = tuple[Determiner | str, ...]
_DEFINITE_PLURALS: DeterminerKinds = weighted((THE, 50), (THIS, 10), ("possessive", 40))
_INDEFINITE_PLURALS: DeterminerKinds = weighted((BARE, 35), ("numeral", 35), (MANY, 15), (SOME, 15))
_DEFINITE_MASSES: DeterminerKinds = weighted((THE, 70), ("possessive", 30))
_MASSES: DeterminerKinds = weighted((BARE, 55), (THE, 30), ("possessive", 15))
_DEFINITE_SINGULARS: DeterminerKinds = weighted(
    (THE, 47), ("possessive", 28), ("possessor", 10), ("owner", 6), (THIS, 9)
)
_SINGULARS: DeterminerKinds = weighted(
    (THE, 36), ("possessive", 20), ("possessor", 8), ("owner", 5), (THIS, 6), (A, 22), (EVERY, 3)
)
_PLACE_PREPOSITIONS = weighted(*zip(modifiers.PLACE_PREPOSITIONS, (45, 15, 10, 10, 10, 10), strict=True))
_LARGEST_NUMBERS = weighted((12, 5), (99, 3), (999, 2))


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
        return _modified(dice, _resolved(dice, dice.pick(kinds), head), head, True, adjective)
    if "mass" in head.tags:
        adjective *= 1.5
        kinds = _DEFINITE_MASSES if definite else _MASSES
    else:
        kinds = _DEFINITE_SINGULARS if definite else _SINGULARS
    kind = dice.pick(kinds)
    if kind == "owner" and "public" not in head.tags:
        return NounPhrase(owner(dice.pick(NAMES)), head)
    if kind == "possessor" and "public" not in head.tags:
        return _modified(dice, THE, head, False, adjective, possessor=_possessor(dice))
    return _modified(dice, _resolved(dice, kind, head), head, False, adjective)


def _resolved(dice: Dice, kind: Determiner | str, head: Noun) -> Determiner:
    """Turn the kind of a determiner into a determiner; public places have no possessor."""
    if "kin" in head.tags and (kind in (A, BARE) or kind == "numeral"):
        kind = "possessive"
    if isinstance(kind, Determiner):
        return kind
    if kind == "numeral":
        return numeral(dice.between(2, 12) if "person" in head.tags else number(dice))
    if "public" in head.tags:
        return THE
    return dice.pick(POSSESSIVES)


def _possessor(dice: Dice) -> NounPhrase:
    """Build the short phrase of a person who owns something."""
    head = dice.pick(nouns_for(("person",)))
    determiner = THE if dice.chance(0.6) else _resolved(dice, "possessive", head)
    return _modified(dice, determiner, head, False, 0.25)


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
    return NounPhrase(numeral(dice.between(2, 12)), NOUNS[vessel], True, content=content)


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
        return (PRONOUNS[0], *PRONOUNS)
    return tuple(pronoun for pronoun in PRONOUNS if pronoun.person in ("3sg", "3pl"))


def prepositional(dice: Dice, preposition: Preposition, definite: bool = False) -> Constituent:
    """Build an adverbial of place or direction."""
    return prepositional_phrase(preposition, noun_phrase(dice, preposition.tags, definite, adjective=0.25, plural=0.15))


def place(dice: Dice, definite: bool = False) -> Constituent:
    """Build an adverbial of place."""
    return prepositional(dice, dice.pick(_PLACE_PREPOSITIONS), definite)


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
    chosen = dice.between(2, dice.pick(_LARGEST_NUMBERS))
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
