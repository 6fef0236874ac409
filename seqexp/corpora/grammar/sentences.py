"""The sentence types, each a function from dice to a main clause with its punctuation mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from seqexp.corpora.grammar import modifiers, numbers, random_phrases
from seqexp.corpora.grammar.clauses import Clause, fronted, relative_clause, subordinate_clause
from seqexp.corpora.grammar.constituents import Constituent
from seqexp.corpora.grammar.dice import Dice, weighted
from seqexp.corpora.grammar.modifiers import Adjective
from seqexp.corpora.grammar.noun_phrases import (
    HOW_MANY,
    THE,
    WHICH,
    WHO,
    NounPhrase,
    prepositional_phrase,
    relative_pronoun,
)
from seqexp.corpora.grammar.nouns import NOUNS
from seqexp.corpora.grammar.random_clauses import TenseGroup, clause, is_past, tense_of, time_for
from seqexp.corpora.grammar.random_phrases import noun_phrase, nouns_for, phrase
from seqexp.corpora.grammar.verbs import BE, COST, VERBS, Tense, Verb, verbs_of

Marked = tuple[Clause, str]

_PASSIVE_VERBS = (
    "buy", "sell", "find", "build", "wash", "clean", "repair", "steal", "invite", "visit", "open", "close",
    "pick up", "throw away", "write", "turn on", "turn off",
)  # fmt: skip
_PREDICATIONS = weighted(("adjective", 30), ("comparison", 45), ("age", 25))
_ADVERBIAL_CLAUSES = weighted(("causal", 55), ("when", 30), ("if", 15))
_CAUSAL = (("because", "weil"), ("although", "obwohl"))
_WHAT, _WHERE = Constituent("what", "was"), Constituent("where", "wo")
_ADVERBIAL_QUESTIONS = (Constituent("when", "wann"), Constituent("why", "warum"))


def statement(dice: Dice) -> Marked:
    """A simple statement."""
    return clause(dice), "."


def predication(dice: Dice) -> Marked:
    """A statement with "be" and an adjective, a comparison or an age."""
    tense: Tense = "present" if dice.chance(0.55) else "past"
    kind = dice.pick(_PREDICATIONS)
    if kind == "age":
        person = phrase(dice, ("person",), pronoun=0.4, definite=True)
        years = numbers.cardinal(dice.between(11, 99))
        age = Constituent(f"{years.english} years old", f"{years.german} Jahre alt", years.combinations)
        return Clause(person, BE, tense, complements=(age,)), "."
    tags = ("attribute", "drink") if dice.chance(0.2) else BE.subjects
    subject = noun_phrase(dice, tags, definite=True, adjective=0.0)
    comparison = _comparison(dice, subject) if kind == "comparison" else None
    if comparison is None:
        return _described(dice, subject, tense, random_phrases.adjectives_for(subject.head)), "."
    return Clause(subject, BE, tense, complements=(comparison,)), "."


def _described(dice: Dice, subject: NounPhrase, tense: Tense, adjectives: Sequence[Adjective]) -> Clause:
    adjective = dice.pick(adjectives)
    predicate = Constituent(adjective.english, adjective.german, (("adjective", adjective.english, subject.head),))
    return Clause(subject, BE, tense, negated=dice.chance(0.15), complements=(predicate,))


def _comparison(dice: Dice, subject: NounPhrase) -> Constituent | None:
    gradable = [option for option in random_phrases.adjectives_for(subject.head) if option.comparative]
    if not gradable:
        return None
    adjective = dice.pick(gradable)
    rival = noun_phrase(dice, _rivals(subject.head, adjective), definite=True, adjective=0.1)
    if dice.chance(0.3):
        english, german = f"as {adjective.english} as", f"so {adjective.german} wie"
    else:
        english, german = f"{adjective.english_comparative} than", f"{adjective.comparative} als"
    return Constituent(
        f"{english} {rival.english()}",
        f"{german} {rival.german('nominative')}",
        (("adjective", adjective.english, subject.head), *rival.combinations),
    )


@cache
def _rivals(head: str, adjective: Adjective) -> tuple[str, ...]:
    """Return the nouns of the same kind as `head` to which the adjective applies."""
    kinds = NOUNS[head].tags - {"public", "inside", "beside"}
    return tuple(
        name for name, noun in NOUNS.items() if kinds & noun.tags and adjective in random_phrases.adjectives_for(name)
    )


def price(dice: Dice) -> Marked:
    """A price in euros; only in the present singular, where the tense of "cost" is visible."""
    goods = noun_phrase(dice, COST.subjects, definite=True, adjective=0.3, plural=0.0)
    euros = numbers.cardinal(random_phrases.number(dice))
    amount = Constituent(f"{euros.english} euros", f"{euros.german} Euro", euros.combinations)
    return Clause(goods, COST, "present", complements=(amount,)), "."


def passive(dice: Dice) -> Marked:
    """A passive with an agent."""
    verb = VERBS[dice.pick(_PASSIVE_VERBS)]
    patient = noun_phrase(dice, verb.objects, definite=True, adjective=0.25)
    agent = prepositional_phrase(modifiers.BY, phrase(dice, ("person",), pronoun=0.1, definite=True, adjective=0.25))
    tense: Tense = "present" if dice.chance(0.2) else "past"
    time = time_for(dice, tense) if dice.chance(0.4) else None
    return Clause(patient, verb, tense, passive=True, complements=(agent,), time=time), "."


def with_adverbial_clause(dice: Dice) -> Marked:
    """A main clause with a clause of cause, time or condition, after or before it."""
    kind = dice.pick(_ADVERBIAL_CLAUSES)
    group: TenseGroup = "past" if kind != "if" and dice.chance(0.5) else "nonpast"
    main = clause(dice, group, short=True)
    if kind == "causal":
        subordinate = subordinate_clause(dice.pick(_CAUSAL), _short_clause(dice, group))
    elif group == "past":
        subordinate = subordinate_clause(("when", "als"), _short_clause(dice, "past", "past"))
    else:
        main = main._replace(tense="present") if main.tense == "perfect" else main
        # "wenn" is both "when" of a present or future event and "if".
        subordinate = subordinate_clause((kind, "wenn"), _short_clause(dice, "nonpast", "present"))
    if dice.chance(0.35):
        return main._replace(front=fronted(subordinate)), "."
    return main._replace(postfield=subordinate), "."


def _short_clause(dice: Dice, group: TenseGroup, tense: Tense | None = None) -> Clause:
    if dice.chance(0.2):
        subject = noun_phrase(dice, ("person",), definite=True, adjective=0.1)
        return _described(dice, subject, "past" if group == "past" else "present", modifiers.STATES)
    return clause(dice, group, tense=tense, short=True)


def with_content_clause(dice: Dice) -> Marked:
    """A verb of saying or thinking with a that-clause."""
    group: TenseGroup = "past" if dice.chance(0.5) else "nonpast"
    main = clause(dice, group, verb=dice.pick(verbs_of("clausal")), short=True)
    content = _short_clause(dice, group)
    return main._replace(postfield=subordinate_clause(("that", "dass"), content)), "."


@cache
def _verbs_with_object(head: str) -> tuple[Verb, ...]:
    """Return the verbs without preposition whose direct object can be the noun."""
    return tuple(
        verb for verb in verbs_of("transitive") if not verb.preposition and NOUNS[head] in nouns_for(verb.objects)
    )


def _relative(dice: Dice, antecedent: NounPhrase, group: TenseGroup, main_verb: str = "") -> Constituent:
    """Build a relative clause: persons are its subject ("who"), anything else its object ("that")."""
    if "person" in antecedent.noun.tags:
        inner = clause(dice, group, subject=relative_pronoun(antecedent, "who"), short=True)
        return relative_clause(inner)
    verbs = _verbs_with_object(antecedent.head)
    verb = dice.pick([verb for verb in verbs if verb.lemma != main_verb] or verbs)
    pronoun = relative_pronoun(antecedent, "that")
    subject = phrase(dice, ("person",), pronoun=0.4, definite=True, adjective=0.1)
    inner = Clause(subject, verb, tense_of(dice, group, verb))
    found = relative_clause(inner, Constituent("that", pronoun.german(verb.object_case)))
    return found._replace(combinations=(*found.combinations, ("object", verb.lemma, antecedent.head)))


def _antecedent(dice: Dice, tags: tuple[str, ...], adjective: float) -> NounPhrase:
    """Build the phrase that a relative clause identifies, without a possessor, which would do the same."""
    plain = noun_phrase(dice, tags, definite=True, adjective=adjective)
    return plain._replace(determiner=THE, possessor=None, whole=None)


def with_subject_relative(dice: Dice) -> Marked:
    """A clause whose subject has a relative clause."""
    antecedent = _antecedent(dice, ("person", "animal", "vehicle", "clothes"), adjective=0.0)
    group: TenseGroup = "past" if dice.chance(0.55) else "nonpast"
    subject = antecedent._replace(relative=_relative(dice, antecedent, group))
    if "person" in antecedent.noun.tags and dice.chance(0.7):
        return clause(dice, group, subject=subject, short=True), "."
    tense: Tense = "past" if group == "past" else "present"
    adjectives = random_phrases.adjectives_for(antecedent.head)
    return _described(dice, antecedent, tense, adjectives)._replace(subject=subject), "."


def with_object_relative(dice: Dice) -> Marked:
    """A clause whose object has a relative clause; German puts it after the whole clause, as English does."""
    verb = dice.pick(tuple(verb for verb in verbs_of("transitive") if "person" in verb.subjects))
    antecedent = _antecedent(dice, tuple(tag for tag in verb.objects if tag != "attribute"), adjective=0.2)
    subject = phrase(dice, ("person",), pronoun=0.45, definite=True, adjective=0.15)
    main = Clause(subject, verb, tense_of(dice, verb=verb), object=antecedent)
    group: TenseGroup = "past" if is_past(main.tense) else "nonpast"
    return main._replace(postfield=_relative(dice, antecedent, group, verb.lemma)), "."


def polar_question(dice: Dice) -> Marked:
    """A question answered with yes or no."""
    asked = clause(dice, affirmative=True, short=dice.chance(0.5))
    if asked.tense == "had to":
        asked = asked._replace(tense="past")
    return asked._replace(front=None, question=True), "?"


def subject_question(dice: Dice) -> Marked:
    """A question with "who"."""
    asked = clause(dice, subject=WHO, affirmative=True, short=True)
    return asked, "?"


def object_question(dice: Dice) -> Marked:
    """A question with "what", "which book" or "how many books"."""
    verb = dice.pick(_object_question_verbs())
    tense = tense_of(dice, verb=verb)
    subject = phrase(dice, verb.subjects, pronoun=0.35, definite=True, adjective=0.15)
    asked = Clause(subject, verb, "past" if tense == "had to" else tense, question=True)
    if dice.chance(0.45):
        return asked._replace(front=_WHAT), "?"
    thing = dice.pick(tuple(noun for noun in nouns_for(verb.objects) if "attribute" not in noun.tags))
    is_counted = bool(thing.plural) and dice.chance(0.5)
    wanted = NounPhrase(HOW_MANY if is_counted else WHICH, thing, is_counted)
    german = wanted.german(verb.object_case)
    front = Constituent(wanted.english(), german, (("object", verb.lemma, thing.head),))
    return asked._replace(front=front), "?"


@cache
def _object_question_verbs() -> tuple[Verb, ...]:
    """Return the verbs that can ask "what?": without preposition, their objects things."""
    return tuple(verb for verb in verbs_of("transitive") if not verb.preposition and "person" not in verb.objects)


def adverbial_question(dice: Dice) -> Marked:
    """A question with "where", "when" or "why"."""
    asked = clause(dice, affirmative=True, short=True)
    if asked.tense == "had to":
        asked = asked._replace(tense="past")
    is_place_open = asked.verb.lemma in ("work", "sleep", "dance", "play", "find", "buy", "see")
    front = _WHERE if is_place_open and dice.chance(0.6) else dice.pick(_ADVERBIAL_QUESTIONS)
    return asked._replace(front=front, question=True), "?"


_SENTENCE_TYPES: tuple[Callable[[Dice], Marked], ...] = weighted(
    (statement, 90),
    (predication, 16),
    (price, 4),
    (passive, 10),
    (with_adverbial_clause, 24),
    (with_content_clause, 12),
    (with_subject_relative, 10),
    (with_object_relative, 10),
    (polar_question, 10),
    (subject_question, 3),
    (object_question, 6),
    (adverbial_question, 5),
)


def random_sentence(dice: Dice) -> Marked:
    """Build a main clause of a random type, with its punctuation mark."""
    return dice.pick(_SENTENCE_TYPES)(dice)
