"""TensorBoard: an event file in the run's directory, written without torch and without TensorFlow."""

import importlib.util
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from seqexp.runs.directory import RunDirectory, Status
from seqexp.runtime.errors import UserError
from seqexp.trackers.base import Point, Tracker, TrackerConfig, TrackerError

FOLDER = "tensorboard"


@dataclass
class TensorBoardConfig(TrackerConfig):
    """Metrics and parameters of a run in `<run>/tensorboard`; needs `pip install 'seqexp[tensorboard]'`."""

    _target_: str = "seqexp.trackers.tensorboard.TensorBoard"


class TensorBoard(Tracker):
    """One event file, which each process continues where the last one is known to have come to.

    Copies of files are not made: they lie beside it.

    Raises:
        UserError: the package tensorboard is not installed.
    """

    def __init__(self, config: TensorBoardConfig, *, run: RunDirectory, identity: str, memory: dict[str, Any]) -> None:
        super().__init__(run=run, identity=identity, memory=memory)
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError("tracker=[tensorboard] needs the package tensorboard: pip install 'seqexp[tensorboard]'")
        self._file: BinaryIO | None = None

    @property
    def target(self) -> str:
        return f"TensorBoard in {self.run.path / FOLDER}"

    def look(self) -> str:
        return f"tensorboard --logdir {self.run.path / FOLDER}"

    def open(self) -> bool:
        folder = self.run.path / FOLDER
        try:
            folder.mkdir(exist_ok=True)
            path = folder / self.memory.setdefault("file", f"events.out.tfevents.{time.time():.0f}.{self.identity}")
            known = "size" in self.memory and path.exists() and path.stat().st_size >= self.memory["size"]
            self._file = path.open("r+b" if known else "wb")
            # What a process wrote before it was killed, and could not remember, is written again.
            self._file.seek(self.memory["size"] if known else 0)
            self._file.truncate()
        except OSError as error:
            raise TrackerError(f"{self.target}: {error.strerror}") from error
        if not known:
            self._write([{"wall_time": time.time(), "file_version": "brain.Event:2"}])
        return known

    def describe(self, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        self._write([_text("parameters", parameters), _text("tags", tags)])

    def log(self, points: Sequence[Point]) -> None:
        self._write([_scalar(point) for point in points])

    def attach(self, path: Path, name: str) -> None:
        """Nothing: the files lie beside."""

    def set_status(self, status: Status, time: float) -> None:
        self._write([_text("status", {"status": status.value})])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, events: Sequence[Mapping[str, Any]]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self._file is not None
        try:
            writer = RecordWriter(self._file)
            for event in events:
                writer.write(Event(**event).SerializeToString())
            self._file.flush()
        except OSError as error:
            raise TrackerError(f"{self.target}: {error.strerror}") from error
        self.memory["size"] = self._file.tell()


def _scalar(point: Point) -> dict[str, Any]:
    value = {"tag": point.name, "simple_value": point.value}
    return {"wall_time": point.time, "step": point.step, "summary": {"value": [value]}}


def _text(tag: str, values: Mapping[str, str]) -> dict[str, Any]:
    """A table, as the text page shows it."""
    lines = ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in values.items())]
    tensor = {"dtype": "DT_STRING", "string_val": ["\n".join(lines).encode()]}
    value = {"tag": tag, "tensor": tensor, "metadata": {"plugin_data": {"plugin_name": "text"}}}
    return {"wall_time": time.time(), "summary": {"value": [value]}}
