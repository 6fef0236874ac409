"""Phrases that a hypothesis has to contain, and how much of them a prefix has.

A state is what matters of a prefix. States never change; `advance` gives the next. A phrase that was begun and not
brought to its end counts no more.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import accumulate
from typing import Self

Phrases = Sequence[Sequence[int]]


class ConstraintOrder(StrEnum):
    """In which order phrases have to occur."""

    ordered = "ordered"
    """As they are given, none inside another."""
    unordered = "unordered"
    """Any; one that begins like another may share its beginning."""

    def begin(self, phrases: Phrases) -> "ConstraintState":
        """The state before the first word.

        Raises:
            ValueError: a phrase is empty.
        """
        if not all(phrases):
            raise ValueError("a constraint is empty: give the words that have to occur")
        return Ordered.begin(phrases) if self == ConstraintOrder.ordered else Unordered.begin(phrases)


class ConstraintState(ABC):
    """How much of its constraints a prefix has."""

    @property
    @abstractmethod
    def bank(self) -> int:
        """Words of the constraints that are met, or begun and not broken off."""

    @property
    @abstractmethod
    def num_completed(self) -> int:
        """Constraints that are met."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether all are."""

    @property
    @abstractmethod
    def next_tokens(self) -> set[int]:
        """The words that may bring it further; while it is not finished, at least one does."""

    @abstractmethod
    def advance(self, token: int) -> Self:
        """The state after one more word."""


@dataclass(frozen=True)
class Ordered(ConstraintState):
    """The phrases one after the other. What was met stays met."""

    words: tuple[int, ...]
    """Of all phrases."""
    ends: tuple[int, ...]
    """How many of them there are up to the end of each phrase."""
    bank: int = 0

    @classmethod
    def begin(cls, phrases: Phrases) -> Self:
        words = tuple(word for phrase in phrases for word in phrase)
        return cls(words, tuple(accumulate(len(phrase) for phrase in phrases)))

    @property
    def num_completed(self) -> int:
        return sum(end <= self.bank for end in self.ends)

    @property
    def finished(self) -> bool:
        return self.bank == len(self.words)

    @property
    def next_tokens(self) -> set[int]:
        return set() if self.finished else {self.words[self.bank]}

    def advance(self, token: int) -> Self:
        if self.finished:
            return self
        begin = max((end for end in self.ends if end <= self.bank), default=0)
        read = (*self.words[begin : self.bank], token)
        # The longest end of what was read that the phrase begins with.
        rest = (read[start:] for start in range(len(read) + 1))
        met = next(len(words) for words in rest if self.words[begin : begin + len(words)] == words)
        return replace(self, bank=begin + met)


@dataclass(eq=False)
class Node:
    """Of a trie of phrases: what one of them, or several, begin with."""

    parent: "Node | None" = None
    word: int = -1
    children: "dict[int, Node]" = field(default_factory=dict)
    num_ending: int = 0
    """Phrases that are just this."""
    num_through: int = 0
    """Phrases that begin with this, those that are just this included."""

    @classmethod
    def root_of(cls, phrases: Phrases) -> "Node":
        root = cls()
        for phrase in phrases:
            node = root
            node.num_through += 1
            for word in phrase:
                node = node.children.setdefault(word, Node(node, word))
                node.num_through += 1
            node.num_ending += 1
        return root

    def path(self) -> "list[Node]":
        """From the first word's node to this one."""
        return [] if self.parent is None else [*self.parent.path(), self]


@dataclass(frozen=True)
class Unordered(ConstraintState):
    """The phrases in any order, one after another, as a walk through a trie that returns to its root after each.

    A phrase that another begins with is met when the walk leaves the trie behind it.
    """

    root: Node
    node: Node
    generated: Mapping[Node, int]
    """How often the walk went through a node, walks that led nowhere not counted."""
    completed: Mapping[Node, int]
    """How often it ended there with a phrase."""

    @classmethod
    def begin(cls, phrases: Phrases) -> Self:
        root = Node.root_of(phrases)
        return cls(root, root, {}, {})

    @property
    def bank(self) -> int:
        return sum(self.generated.values())

    @property
    def num_completed(self) -> int:
        return sum(self.completed.values()) + self._meets(self.node)

    @property
    def finished(self) -> bool:
        return self.num_completed == self.root.num_through

    @property
    def next_tokens(self) -> set[int]:
        return {word for node in (self.root, self.node) for word, child in node.children.items() if self._wants(child)}

    def advance(self, token: int) -> Self:
        child = self.node.children.get(token)
        if child is not None and self._wants(child):
            return replace(self, node=child, generated=_changed(self.generated, child, 1))
        if self.node is self.root:
            return self
        state, left = self._back_at_the_root()
        for word in (*left, token):
            state = state.advance(word)
        return state

    def _back_at_the_root(self) -> tuple[Self, list[int]]:
        """With the longest phrase that the walk has met, and the words since, among which another may begin."""
        path = self.node.path()
        generated, completed = self.generated, self.completed
        for depth in range(len(path), 0, -1):
            node = path[depth - 1]
            if self._meets(node):
                completed = _changed(completed, node, 1)
                break
            generated = _changed(generated, node, -1)
        else:
            depth = 1  # nothing begins at the first word, for that was tried
        left = [node.word for node in path[depth:]]
        return replace(self, node=self.root, generated=generated, completed=completed), left

    def _wants(self, node: Node) -> bool:
        return self.generated.get(node, 0) < node.num_through

    def _meets(self, node: Node) -> bool:
        return self.completed.get(node, 0) < node.num_ending


def _changed(counts: Mapping[Node, int], node: Node, by: int) -> Mapping[Node, int]:
    return {**counts, node: counts.get(node, 0) + by}
