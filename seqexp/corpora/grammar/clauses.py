"""Clauses: one structure, linearised with English and with German word order."""

from __future__ import annotations

from typing import NamedTuple

from seqexp.corpora.grammar.constituents import Combination, Constituent, Phrase
from seqexp.corpora.grammar.noun_phrases import BARE, NO, A, NounPhrase, govern
from seqexp.corpora.grammar.verbs import Tense, Verb


class Clause(NamedTuple):
    """A clause without its linear order.

    `front` takes the place before the subject (an adverbial, a question word or a subordinate clause), `postfield`
    the place after everything else (a subordinate clause). `complements` are adverbials and predicates whose order
    is the same in both languages.
    """

    subject: Phrase
    verb: Verb
    tense: Tense
    negated: bool = False
    passive: bool = False
    question: bool = False
    recipient: Phrase | None = None
    object: Phrase | None = None
    adverb: Constituent | None = None
    time: Constituent | None = None
    complements: tuple[Constituent, ...] = ()
    front: Constituent | None = None
    postfield: Constituent | None = None

    @property
    def combinations(self) -> tuple[Combination, ...]:
        """Every lexical combination that occurs in the clause and in what it contains."""
        person = self.subject.person
        found = (*self.subject.combinations, ("conjugation", self.verb.lemma, self._tense_label, person))
        if self.passive and self.subject.head:
            found += (("object", self.verb.lemma, self.subject.head),)
        if self.object and self.object.head:
            found += (("object", self.verb.lemma, self.object.head),)
        for part in (self.recipient, self.object, self.time, *self.complements, self.front, self.postfield):
            if part:
                found += part.combinations
        return found

    @property
    def _tense_label(self) -> str:
        return f"passive {self.tense}" if self.passive else self.tense


def english_clause(clause: Clause) -> str:
    """Return the clause in English word order, uncapitalised and without final punctuation."""
    needs_support = clause.negated or clause.question
    auxiliary, lexical = clause.verb.english_group(
        clause.tense, clause.subject.person, do_support=needs_support, passive=clause.passive
    )
    subject = clause.subject.english("nominative")
    adverb = clause.adverb.english if clause.adverb else ""
    words = [clause.front.english] if clause.front else []
    words += [auxiliary, subject] if clause.question else [subject, auxiliary]
    words += ["not" if clause.negated else "", adverb, lexical, clause.verb.particle]
    for phrase in (clause.recipient, clause.object):
        if phrase:
            words.append(phrase.english("accusative"))
    words += [complement.english for complement in clause.complements]
    words += [part.english for part in (clause.time, clause.postfield) if part]
    return " ".join(word for word in words if word).replace("can not", "cannot")


def german_clause(clause: Clause, subordinate: bool = False) -> str:
    """Return the clause in German: finite verb second (first without `front` in questions) or, subordinate, last."""
    forms = clause.verb.german_complex(clause.tense, clause.subject.person, clause.passive)
    subject = clause.subject.german("nominative")
    middle = _middle_field(clause)
    postfield = clause.postfield.german if clause.postfield else ""
    if subordinate:
        front = [clause.front.german] if clause.front else []
        words = [*front, subject, *middle, forms.nonfinite, forms.prefix + forms.finite]
    else:
        right_bracket = [forms.nonfinite, forms.prefix]
        if clause.front:
            words = [clause.front.german, forms.finite, subject, *middle, *right_bracket]
        elif clause.question:
            words = [forms.finite, subject, *middle, *right_bracket]
        else:
            words = [subject, forms.finite, *middle, *right_bracket]
    return " ".join(word for word in words if word) + postfield


def _middle_field(clause: Clause) -> list[str]:
    """Order the German middle field: pronouns, time, noun objects, nicht, other adverbials and predicates."""
    pronouns: list[str] = []
    nouns: list[str] = []
    late: list[str] = []
    if clause.recipient:
        (pronouns if clause.recipient.is_pronoun else nouns).append(clause.recipient.german("dative"))
    negation = ["nicht"] if clause.negated else []
    if clause.object:
        target = clause.object
        if negation and isinstance(target, NounPhrase) and target.determiner in (A, BARE):
            target, negation = target._replace(determiner=NO), []
        german = target.german(clause.verb.object_case)
        if clause.verb.preposition:
            late.append(govern(clause.verb.preposition, german))
        else:
            (pronouns if target.is_pronoun else nouns).append(german)
    times = [part.german for part in (clause.time, clause.adverb) if part]
    return [*pronouns, *times, *nouns, *negation, *late, *(complement.german for complement in clause.complements)]


def subordinate_clause(conjunction: tuple[str, str], clause: Clause) -> Constituent:
    """Return the clause introduced by an English and a German conjunction, preceded by the German comma."""
    english, german = conjunction
    return Constituent(
        f"{english} {english_clause(clause)}",
        f", {german} {german_clause(clause, subordinate=True)}",
        clause.combinations,
    )


def fronted(subordinate: Constituent) -> Constituent:
    """Turn a subordinate clause into the first constituent of its main clause."""
    return Constituent(f"{subordinate.english},", f"{subordinate.german.removeprefix(', ')},", subordinate.combinations)


def relative_clause(clause: Clause, introduction: Constituent | None = None) -> Constituent:
    """Return a relative clause.

    Without introduction, the clause's subject is the relative pronoun; otherwise the introduction is the pronoun, and
    the clause lacks its object.
    """
    clause = clause._replace(front=introduction)
    return Constituent(english_clause(clause), f", {german_clause(clause, subordinate=True)}", clause.combinations)


def sentence(clause: Clause, mark: str) -> tuple[str, str]:
    """Return the English sentence and its German translation, capitalised and with the punctuation mark."""
    english, german = (text[0].upper() + text[1:] + mark for text in (english_clause(clause), german_clause(clause)))
    return english, german
