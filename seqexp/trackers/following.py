"""Training's side of tracking: it starts the process that sends the journal, and waits a little for it at the end."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from seqexp.config.build import build
from seqexp.runs.directory import RunDirectory
from seqexp.trackers.base import Tracker, TrackerConfig
from seqexp.trackers.sender import FOLDER

logger = logging.getLogger(__name__)


class Following:
    """Context around a run. Nothing that befalls the trackers reaches the training, which knows the journal only."""

    def __init__(self, run: RunDirectory, configs: Mapping[str, TrackerConfig], arguments: Sequence[str] = ()) -> None:
        """
        Args:
            arguments: what the process that sends must be told besides, such as `plugins=[...]`.

        Raises:
            UserError: a tracker cannot be used with these options.
        """
        self.run = run
        self._arguments = arguments
        self._wait_seconds = max((config.wait_seconds for config in configs.values()), default=0.0)
        self._trackers: list[Tracker] = [build(config, run=run, identity="", memory={}) for config in configs.values()]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, once the run's directory says what the run is."""
        if not self._trackers:
            return
        folder = self.run.path / FOLDER
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        for tracker in self._trackers:
            environment |= tracker.environment()
            logger.info("tracking: %s", tracker.look())
        try:
            folder.mkdir(exist_ok=True)
            with (folder / "log.txt").open("ab") as log:
                arguments = [f"run={quoted(str(self.run.path))}", "follow=true", *self._arguments]
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "seqexp.sync", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            logger.warning("tracking: its process cannot be started: %s", error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is None:
            return
        try:
            status: int | None = self._process.wait(self._wait_seconds)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            status = None
        if status != 0:
            command = f"python -m seqexp.sync run={shlex.quote(quoted(str(self.run.path)))}"
            logger.warning(
                "tracking: not everything is sent yet; a process goes on with it, and if that is ended: %s", command
            )


def quoted(value: str) -> str:
    """A value as Hydra reads it back, in quotes where it needs them."""
    if all(character.isalnum() or character in "/._-" for character in value):
        return value
    return "'" + value.replace("'", "\\'") + "'"
