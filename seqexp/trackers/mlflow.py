"""MLflow: runs in a database on the disk, or on a server. The only file that imports mlflow."""

import contextlib
import getpass
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isinf, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from seqexp.config.base import require
from seqexp.runs.directory import RunDirectory, Status
from seqexp.runs.journal import read_journal
from seqexp.runs.lock import Lock
from seqexp.runtime.secrets import MASK, mask
from seqexp.trackers.base import Point, Tracker, TrackerConfig, TrackerError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A call that fails is repeated by whoever drains the journal, so one try is enough, and a short one.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Set before mlflow is imported, unless the user decided otherwise."""

DATABASE = "mlflow.db"
ARTIFACTS = "mlflow-artifacts"

LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000
PARAMETERS_OF_A_CALL = 100
POINTS_OF_A_CALL = 1000
"""MLflow's limits."""

IDENTITY = "seqexp.identity"
"""Tag by which a run is found again."""

STATUS = {
    Status.running: "RUNNING",
    Status.finished: "FINISHED",
    Status.failed: "FAILED",
    Status.interrupted: "KILLED",
}
FULL_TURN_SECONDS = 60.0


@dataclass
class MLflowConfig(TrackerConfig):
    """An MLflow experiment named `name`, with a run for each run."""

    _target_: str = "seqexp.trackers.mlflow.MLflow"
    uri: str | None = None
    """Tracking URI of a server or database; null: the environment's MLFLOW_TRACKING_URI, else the SQLite database
    `mlflow.db` in `run.root`, with artifacts beside it. A password in it is used and written nowhere: `sync` finds it
    again in MLFLOW_TRACKING_URI, or in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."""

    def __post_init__(self) -> None:
        super().__post_init__()
        uri = self.uri
        right = "a URI such as http://host:5000 or sqlite:////absolute/path/mlflow.db"
        known = uri is None or uri.startswith("databricks") or ("://" in uri and not uri.startswith("file:"))
        require(known, "uri", uri, right)
        absolute = uri is None or not uri.startswith("sqlite:") or uri.startswith("sqlite:////")
        require(absolute, "uri", uri, right)


class MLflow(Tracker):
    """Metrics with their times from the journal. MLflow drops what it has already, so nothing is there twice."""

    def __init__(self, config: MLflowConfig, *, run: RunDirectory, identity: str, memory: dict[str, Any]) -> None:
        super().__init__(run=run, identity=identity, memory=memory)
        self.config = config
        self._client: MlflowClient | None = None

    @cached_property
    def default(self) -> str:
        """`mlflow.db` in the root of the run, wherever that lies now."""
        config = self.run.read_config()["run"]
        if config["dir"] is None:
            root = self.run.path.resolve().parents[1]
        else:
            root = Path(self.run.provenance().get("folder", "."), config["root"]).resolve()
        return f"sqlite:///{root / DATABASE}"

    @cached_property
    def uri(self) -> str:
        """Where the run is tracked, with the password where one is known."""
        environment = os.environ.get("MLFLOW_TRACKING_URI")
        uri = self.config.uri or self.memory.get("uri", environment) or self.default
        is_masked = f"{MASK}@" in uri
        return environment if is_masked and environment and mask(environment) == uri else uri

    @property
    def target(self) -> str:
        return f"MLflow at {mask(self.uri)}"

    @cached_property
    def database(self) -> Path | None:
        """The file of an SQLite database, which seqexp makes and on which processes take turns; None for another."""
        path = self.uri.removeprefix("sqlite:///").partition("?")[0]
        return Path(path) if path != self.uri else None

    def look(self) -> str:
        is_server = self.uri.startswith(("http", "databricks"))
        return mask(self.uri) if is_server else f"mlflow ui --backend-store-uri {mask(self.uri)}"

    def environment(self) -> dict[str, str]:
        return {} if mask(self.uri) == self.uri else {"MLFLOW_TRACKING_URI": self.uri}

    def recall(self) -> bool:
        # The default (None) moves with the runs; another place is kept for a `sync` without the same environment.
        place = None if self.uri == self.default else mask(self.uri)
        is_same = "uri" in self.memory and self.memory["uri"] == place
        if not is_same:
            self.memory.clear()
            self.memory["uri"] = place
        return is_same

    def open(self) -> bool:
        with self._call():
            self._client = self._connect()
            remembered = self._get(self.memory["run_id"]) if "run_id" in self.memory else None
            found = remembered or self._find() or self._make()
        if found.info.lifecycle_stage != "active":
            raise TrackerError(
                f"{self.target}: run {found.info.run_id} was deleted there; restore it, or remove "
                f"{self.run.path}/tracking to send it anew"
            )
        self.memory["run_id"] = found.info.run_id
        return remembered is not None

    def describe(self, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Param, RunTag

        wanted = {_name(key): _shortened(value, LONGEST_PARAMETER) for key, value in parameters.items()}
        with self._call():
            there = self.client.get_run(self.run_id).data.params
            new = [Param(key, value) for key, value in wanted.items() if key not in there]
            # MLflow never changes a parameter; a run resumed with another value says so in a tag.
            changed = {f"changed/{key}": value for key, value in wanted.items() if there.get(key, value) != value}
            all_tags = {**tags, **self._own_tags(tags), **changed}
            entries = [RunTag(_name(key), _shortened(value, LONGEST_TAG)) for key, value in all_tags.items()]
            for start in range(0, len(new), PARAMETERS_OF_A_CALL):
                self.client.log_batch(self.run_id, params=new[start : start + PARAMETERS_OF_A_CALL])
            for start in range(0, len(entries), PARAMETERS_OF_A_CALL):
                self.client.log_batch(self.run_id, tags=entries[start : start + PARAMETERS_OF_A_CALL])

    def log(self, points: Sequence[Point]) -> None:
        """An infinite value becomes nan, and a tag says which: MLflow would store the largest finite number."""
        from mlflow.entities import Metric, RunTag

        metrics = [
            Metric(_name(p.name), nan if isinf(p.value) else p.value, round(p.time * 1000), p.step) for p in points
        ]
        infinite = {f"infinite/{p.name}": f"{p.value} at {p.step}" for p in points if isinf(p.value)}
        with self._call():
            for start in range(0, len(metrics), POINTS_OF_A_CALL):
                self.client.log_batch(self.run_id, metrics=metrics[start : start + POINTS_OF_A_CALL])
            if infinite:
                self.client.log_batch(self.run_id, tags=[RunTag(_name(k), v) for k, v in infinite.items()])

    def attach(self, path: Path, name: str) -> None:
        with self._call():
            self.client.log_artifact(self.run_id, str(path), artifact_path=name.rpartition("/")[0] or None)

    def set_status(self, status: Status, time: float) -> None:
        with self._call():
            if status == Status.running:
                self.client.update_run(self.run_id, status=STATUS[status])
            else:
                self.client.set_terminated(self.run_id, status=STATUS[status], end_time=round(time * 1000))

    def close(self) -> None:
        self._client = None

    @property
    def client(self) -> "MlflowClient":
        assert self._client is not None
        return self._client

    @property
    def run_id(self) -> str:
        return str(self.memory["run_id"])

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """Calls of MLflow: one process at a time on an SQLite database, and whatever they raise told in a line."""
        try:
            with self._turn() if self.database else contextlib.nullcontext():
                yield
        except TrackerError:
            raise
        except Exception as error:
            raise TrackerError(f"{self.target}: {_reason(error)}") from error

    def _turn(self) -> Lock:
        assert self.database is not None
        self.database.parent.mkdir(parents=True, exist_ok=True)
        return Lock(self.database.with_name(f"{self.database.name}.lock"), wait_seconds=FULL_TURN_SECONDS)

    def _connect(self) -> "MlflowClient":
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        import mlflow

        if self.database is not None and not self.database.exists():
            make_database(self.database)
        return mlflow.MlflowClient(tracking_uri=without_password(self.uri))

    def _get(self, run_id: str) -> "Run | None":
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _find(self) -> "Run | None":
        """The run that a process made and was killed before it could remember it."""
        experiment = self.client.get_experiment_by_name(self._experiment)
        if experiment is None:
            return None
        found = self.client.search_runs([experiment.experiment_id], f"tags.`{IDENTITY}` = '{self.identity}'")
        return found[0] if found else None

    def _make(self) -> "Run":
        key, name = self.run.provenance().get("key", ""), self.run.path.name
        return self.client.create_run(
            self._make_experiment(),
            start_time=round(_start(self.run) * 1000),
            run_name=name if name.startswith(key) else key,
            tags={IDENTITY: self.identity},
        )

    def _make_experiment(self) -> str:
        """The experiment's number in MLflow."""
        from mlflow.exceptions import MlflowException

        place = None if self.database is None else (self.database.with_name(ARTIFACTS) / self._experiment).as_uri()
        try:
            return self.client.create_experiment(self._experiment, place)
        except MlflowException:
            found = self.client.get_experiment_by_name(self._experiment)
            if found is None:
                raise
            return str(found.experiment_id)

    @property
    def _experiment(self) -> str:
        return str(self.run.read_config()["name"])

    def _own_tags(self, tags: Mapping[str, str]) -> dict[str, str]:
        """What MLflow's pages show in places of their own."""
        overrides = (self.run.path / "overrides.txt").read_text(encoding="utf-8").splitlines()
        return {
            "mlflow.user": _user(),
            "mlflow.source.name": "seqexp.train",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": tags.get("git_commit", ""),
            "mlflow.note.content": f"`{' '.join(['python -m seqexp.train', *overrides])}`",
        }


def make_database(path: Path) -> None:
    """Make an SQLite database of MLflow's; under another name, since one half made is of no use to anybody."""
    from mlflow.store.tracking import sqlalchemy_store

    unfinished = path.with_name(f".{path.name}.new")
    for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        leftover.unlink(missing_ok=True)
    make: Any = sqlalchemy_store.SqlAlchemyStore
    store = make(f"sqlite:///{unfinished}", str(path.with_name(ARTIFACTS)))
    store._dispose_engine()
    unfinished.rename(path)


def without_password(uri: str) -> str:
    """A server's URI without user and password, which go where mlflow looks for them.

    Raises:
        TrackerError: they were left out of the URI of a database, which cannot do without.
    """
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    user, _, host = parts.netloc.rpartition("@")
    if parts.scheme not in ("http", "https"):
        if user == MASK:
            raise TrackerError(f"MLflow at {uri}: the password is kept nowhere; give the URI in MLFLOW_TRACKING_URI")
        return uri
    if user != MASK:
        name, _, password = user.partition(":")
        os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = (
            unquote(name),
            unquote(password),
        )
    return parts._replace(netloc=host).geturl()


def _start(run: RunDirectory) -> float:
    return next((float(line["time"]) for line in read_journal(run.journal)), run.config.stat().st_mtime)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return str(os.getuid())


def _name(name: str) -> str:
    """With the characters that MLflow allows."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)


def _shortened(value: str, longest: int) -> str:
    note = " ... (shortened; whole in config.json)"
    return value if len(value) <= longest else value[: longest - len(note)] + note


def _reason(error: BaseException) -> str:
    """What is at the bottom of it, in one line: mlflow wraps a refused connection in pages of text."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = str(error).strip().splitlines() or [""]
    return mask(f"{type(error).__name__}: {text[0][:300]}")
