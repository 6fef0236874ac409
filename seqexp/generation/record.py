"""What has been translated: one JSON object a sentence, kept as soon as it is there.

While the work lasts, every process that takes part appends to a file of its own, whose name nobody else will ever use.
So nothing that a kill has left is written to again; a torn last line is passed over. In the end all lines, in the order
of the input, become `hypotheses.jsonl`, and the files of the processes go.
"""

import contextlib
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp.runtime.files import atomic_path
from seqexp.trained_model import Translation

FINISHED = "hypotheses.jsonl"
PARTS = ".part-*.jsonl"


@dataclass(frozen=True)
class Place:
    """Where the line of a sentence is."""

    path: Path
    offset: int
    size: int


class Record:
    """The lines of an output directory, those that are finished and those of parts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def clear(self) -> None:
        """Forget all of them."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def read(self) -> dict[int, Place]:
        """Where the line of each sentence is, by its number."""
        found: dict[int, Place] = {}
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):  # another process has put all of them together
                for number, place in _whole_lines(path):
                    found.setdefault(number, place)
        return found

    @contextlib.contextmanager
    def part(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Keeps the sentences of this process, in a new file."""
        name = f".part-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        with (self.directory / name).open("x", encoding="utf-8", newline="\n", buffering=1) as file:
            yield lambda content: print(json.dumps(content, ensure_ascii=False), file=file)

    def lines(self, places: Mapping[int, Place]) -> Iterator[str]:
        """The lines in the order of the input."""
        with contextlib.ExitStack() as stack:
            paths = dict.fromkeys(place.path for place in places.values())
            files = {path: stack.enter_context(path.open("rb")) for path in paths}
            for number in sorted(places):
                place = places[number]
                files[place.path].seek(place.offset)
                yield files[place.path].read(place.size).decode("utf-8")

    def finish(self, references: Callable[[int], list[str]] | None) -> None:
        """Put all lines together.

        Args:
            references: of a sentence, to be written with it.
        """
        parts, places = self._parts(), self.read()
        with (
            atomic_path(self.directory / FINISHED) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            for number, line in zip(sorted(places), self.lines(places), strict=True):
                content = {**json.loads(line), **({} if references is None else {"references": references(number)})}
                file.write(json.dumps(content, ensure_ascii=False) + "\n")
        for path in parts:
            path.unlink(missing_ok=True)

    def translations(self) -> Iterator[dict[str, Any]]:
        """What `finish` has written, parsed."""
        with (self.directory / FINISHED).open(encoding="utf-8", newline="\n") as file:
            yield from map(json.loads, file)

    def _files(self) -> list[Path]:
        # The finished ones last: they are written before the parts go, so whoever looks misses none.
        return [*self._parts(), self.directory / FINISHED]

    def _parts(self) -> list[Path]:
        return sorted(self.directory.glob(PARTS))


def sentence(number: int, source: str, translations: Sequence[Translation]) -> dict[str, Any]:
    """What is kept of a sentence: its text and all its hypotheses, best first."""
    return {"id": number, "source": source, "hypotheses": [_hypothesis(each) for each in translations]}


def _hypothesis(found: Translation) -> dict[str, Any]:
    kept = {"text": found.text, "score": found.score, "tokens": found.tokens, "token_scores": found.token_scores}
    if found.attention is None:
        return kept
    return {**kept, "attention": found.attention, "alignment": found.alignment}


def _whole_lines(path: Path) -> Iterator[tuple[int, Place]]:
    offset = 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)["id"], Place(path, offset, len(line))
            offset += len(line)
