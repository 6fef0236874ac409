"""Random clauses: a verb, what its frame demands, and optional adverbials."""

from __future__ import annotations

from functools import cache
from typing import Literal

from seqexp.corpora.grammar import modifiers, numbers, random_phrases
from seqexp.corpora.grammar.clauses import Clause
from seqexp.corpora.grammar.constituents import Constituent, Phrase
from seqexp.corpora.grammar.dice import Dice, weighted
from seqexp.corpora.grammar.modifiers import DIRECTION_PREPOSITIONS
from seqexp.corpora.grammar.noun_phrases import BARE, A, NounPhrase
from seqexp.corpora.grammar.nouns import NOUNS
from seqexp.corpora.grammar.random_phrases import noun_phrase, nouns_for, phrase
from seqexp.corpora.grammar.verbs import Frame, Tense, Verb, verbs_of

TenseGroup = Literal["any", "past", "nonpast"]

_PAST_TENSES: tuple[Tense, ...] = weighted(("past", 80), ("could", 8), ("had to", 6), ("wanted", 6))
_NONPAST_TENSES: tuple[Tense, ...] = weighted(
    ("present", 44), ("perfect", 18), ("future", 14), ("can", 7), ("must", 7), ("want", 5), ("should", 5)
)
_FRAMES: tuple[Frame, ...] = weighted(
    ("transitive", 54), ("ditransitive", 9), ("intransitive", 17), ("position", 6), ("placement", 5), ("motion", 9)
)
_TIMES = weighted(("adverb", 55), ("weekday", 12), ("date", 18), ("clock", 15))
_STATIVE_VERBS = {"have", "know", "believe", "hope", "say", "love", "need"}  # neither modal nor perfect
_INANIMATE_TENSES = {"present", "past", "perfect", "future"}
_BENEFICIARY_VERBS = {"buy", "cook", "build", "write", "order", "pick up", "bring along"}
_MEAL_VERBS = {"order", "eat"}
_SOCIAL_VERBS = {"work", "dance", "play"}
_LOCATED_VERBS = {
    "see", "buy", "find", "eat", "drink", "wait for", "work", "dance", "play", "sleep", "fall asleep"
}  # fmt: skip


def tense_of(dice: Dice, group: TenseGroup = "any", verb: Verb | None = None) -> Tense:
    """Pick a tense or modal verb."""
    if group == "any":
        group = "past" if dice.chance(0.45) else "nonpast"
    if verb and verb.lemma in _STATIVE_VERBS:
        return "past" if group == "past" else "present"
    return dice.pick(_PAST_TENSES if group == "past" else _NONPAST_TENSES)


def is_past(tense: Tense) -> bool:
    """Whether an adverbial like "yesterday" agrees with the tense or modal verb."""
    return tense in ("past", "could", "had to", "wanted")


def time_for(dice: Dice, tense: Tense, negated: bool = False) -> Constituent:
    """Pick an adverbial of time that agrees with the tense."""
    if tense == "perfect":
        return dice.pick(modifiers.PERFECT_TIMES)
    kind = dice.pick(_TIMES)
    if kind == "clock":
        return random_phrases.clock_time(dice)
    if kind == "adverb" or tense == "present":
        if is_past(tense):
            return dice.pick(modifiers.PAST_TIMES)
        if tense == "present":
            return dice.pick(modifiers.MOMENTS if negated else (*modifiers.MOMENTS, *modifiers.REPEATED_TIMES))
        return dice.pick(modifiers.FUTURE_TIMES)
    if kind == "weekday":
        return dice.pick(numbers.WEEKDAYS)
    if tense == "past" and dice.chance(0.25):
        return numbers.in_year(random_phrases.year(dice))
    return random_phrases.date(dice, with_year=tense == "past" and dice.chance(0.5))


@cache
def personal_verbs(frame: Frame) -> tuple[Verb, ...]:
    """Return the verbs of a frame whose subject can be a person."""
    return tuple(verb for verb in verbs_of(frame) if "person" in verb.subjects)


def clause(
    dice: Dice,
    group: TenseGroup = "any",
    *,
    verb: Verb | None = None,
    tense: Tense | None = None,
    subject: Phrase | None = None,
    affirmative: bool = False,
    short: bool = False,
) -> Clause:
    """Build a random clause; a short one is about persons, without optional adverbials and with few adjectives."""
    if verb is None:
        frame = dice.pick(_FRAMES)
        verb = dice.pick(personal_verbs(frame) if subject or short else verbs_of(frame))
    tense = tense or tense_of(dice, group, verb)
    if tense not in _INANIMATE_TENSES and not {"person", "animal"}.issuperset(verb.subjects):
        tense = "past" if is_past(tense) else "present"
    negated = not affirmative and tense not in ("must", "had to") and dice.chance(0.12)
    adjective = 0.12 if short else 0.35
    pronoun = 0.45 if short else 0.35
    if subject is None:
        subjects = ("person",) if short else verb.subjects
        subject = phrase(dice, subjects, pronoun, definite=negated, adjective=adjective)
    with_arguments = _with_arguments(dice, Clause(subject, verb, tense, negated), adjective)
    return with_arguments if short else _with_adverbials(dice, with_arguments)


def _with_arguments(dice: Dice, bare: Clause, adjective: float) -> Clause:
    """Add the objects and the places or directions that the verb requires."""
    verb, negated = bare.verb, bare.negated
    if verb.frame == "transitive":
        if "drink" in verb.objects and dice.chance(0.25) and not negated:
            return bare._replace(object=random_phrases.measure_phrase(dice))
        return bare._replace(object=_object(dice, bare, negated, adjective))
    if verb.frame == "ditransitive":
        recipient = phrase(dice, ("person",), 0.3, definite=True, adjective=adjective / 2, apart_from=bare.subject)
        # A bare object after "her" could be read as "her books".
        return bare._replace(recipient=recipient, object=_object(dice, bare, True, adjective))
    if verb.frame == "position":
        if verb.lemma == "live":
            return bare._replace(complements=(random_phrases.prepositional(dice, modifiers.RESIDENCE, negated),))
        return bare._replace(complements=(random_phrases.place(dice, negated),))
    if verb.frame == "placement":
        direction = random_phrases.prepositional(dice, dice.pick(modifiers.PLACEMENT_PREPOSITIONS), negated)
        thing = noun_phrase(dice, verb.objects, definite=True, adjective=adjective)
        return bare._replace(object=thing, complements=(direction,))
    if verb.frame == "motion":
        direction = random_phrases.prepositional(dice, DIRECTION_PREPOSITIONS[dice.pick(verb.objects)], negated)
        return bare._replace(complements=(direction,))
    return bare


def _object(dice: Dice, bare: Clause, negated: bool, adjective: float) -> Phrase:
    """Build a direct object; under negation definite, or without determiner but "a" (kein)."""
    verb, subject = bare.verb, bare.subject
    if negated and verb.frame == "transitive" and dice.chance(0.4):
        things = [noun for noun in nouns_for(verb.objects) if noun.tags.isdisjoint(("person", "attribute"))]
        if things:
            thing = dice.pick(things)
            return NounPhrase(A if thing.plural else BARE, thing)
    if "person" in verb.objects and verb.object_may_be_pronoun and dice.chance(0.25):
        # In German, "hat ein Kind ihn gesehen" is awkward, so an indefinite subject takes no pronoun as object.
        is_definite = not isinstance(subject, NounPhrase) or subject.determiner.is_definite
        return phrase(dice, ("person",), 0.75 if is_definite else 0.0, apart_from=subject, definite=negated)
    return noun_phrase(dice, verb.objects, definite=negated, adjective=adjective)


def _with_adverbials(dice: Dice, plain: Clause) -> Clause:
    """Add optional adverbials: manner, participant, place, frequency and time."""
    tense, lemma = plain.tense, plain.verb.lemma
    extended = plain._replace(complements=_optional_complements(dice, plain))
    if lemma in _LOCATED_VERBS and not plain.negated and not _is_place(plain.object) and dice.chance(0.35):
        extended = extended._replace(complements=(*extended.complements, random_phrases.place(dice)))
    if tense in ("present", "past", "perfect") and not plain.negated and dice.chance(0.15):
        adverbs = modifiers.PERFECT_ADVERBS if tense == "perfect" else modifiers.FREQUENCIES
        return extended._replace(adverb=dice.pick(adverbs))
    return _with_time(dice, extended) if lemma not in _STATIVE_VERBS and dice.chance(0.5) else extended


def _is_place(target: Phrase | None) -> bool:
    if target is None or not target.head:
        return False
    return not NOUNS[target.head].tags.isdisjoint(("building", "outdoors", "part"))


def _optional_complements(dice: Dice, plain: Clause) -> tuple[Constituent, ...]:
    lemma, subject = plain.verb.lemma, plain.subject
    if (plain.verb.frame == "motion" or lemma in _SOCIAL_VERBS) and not plain.negated and dice.chance(0.2):
        return (dice.pick(modifiers.MANNERS), *plain.complements)
    if lemma in _SOCIAL_VERBS and dice.chance(0.35):
        preposition = modifiers.WITH if dice.chance(0.75) else modifiers.WITHOUT
        return (random_phrases.participant(dice, preposition, subject),)
    if lemma in _BENEFICIARY_VERBS and dice.chance(0.2):
        return (random_phrases.participant(dice, modifiers.FOR, subject),)
    if lemma in _MEAL_VERBS and dice.chance(0.4):
        return (random_phrases.accompaniment(dice),)
    return plain.complements


def _with_time(dice: Dice, timeless: Clause) -> Clause:
    """Put an adverbial of time at the end of the English sentence, or at the beginning of both."""
    time = time_for(dice, timeless.tense, timeless.negated)
    return timeless._replace(front=time) if dice.chance(0.45) else timeless._replace(time=time)
