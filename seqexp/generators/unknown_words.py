"""What stands in place of unknown words: the source words that they attend to, or what a dictionary has for these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from seqexp.data.vocabulary import EOS, UNK
from seqexp.runtime.errors import UserError
from seqexp.runtime.files import read_lines

COPY = "copy"


@dataclass(frozen=True)
class UnknownWords:
    """Replaces the `<unk>` of hypotheses."""

    dictionary: Mapping[str, str]
    """Tokens of the target by those of the source; one that is not in it is copied."""

    @classmethod
    def of(cls, option: str) -> Self:
        """From `copy`, or a file with a token of the source and one of the target in each line.

        Raises:
            UserError: the file is not there, or a line of it has not two columns.
        """
        dictionary = {}
        for number, line in enumerate([] if option == COPY else read_lines(Path(option), "replace_unknown"), start=1):
            columns = line.split()
            if len(columns) != 2:
                raise UserError(
                    f"replace_unknown={option}: line {number} has {len(columns)} columns; give two, a token of the "
                    "source and one of the target"
                )
            dictionary[columns[0]] = columns[1]
        return cls(dictionary)

    def replaced(self, tokens: Sequence[str], source: Sequence[str], alignment: Sequence[tuple[int, int]]) -> list[str]:
        """The tokens of a hypothesis without `<unk>`, but where nothing is aligned.

        Args:
            source: tokens of the source as the text stages give them, also those that its vocabulary lacks.
            alignment: as `Hypothesis` has it, by which numbers count tokens but `</s>`.
        """
        words = [token for token in source if token != EOS]
        aligned = {target: words[place] for place, target in alignment if place < len(words)}
        given = [number for number, token in enumerate(tokens) if token != EOS]
        found = list(tokens)
        for target, number in enumerate(given):
            if tokens[number] == UNK and target in aligned:
                found[number] = self.dictionary.get(aligned[target], aligned[target])
        return found
