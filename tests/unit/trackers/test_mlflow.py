"""Against a real MLflow database on the disk."""

import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from seqexp.runs.directory import RunDirectory
from seqexp.runs.journal import Journal
from seqexp.trackers.base import TrackerError
from seqexp.trackers.mlflow import SETTINGS, MLflowConfig, without_password
from seqexp.trackers.sender import FOLDER, Sender
from tests.unit.trackers.memory import CONFIG, finish, write_updates

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # within mlflow

MakeRun = Callable[..., RunDirectory]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As seqexp sets it, with what a user may have set around it."""
    for name, value in {**SETTINGS, "MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_RUN_ID": "f" * 32}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the user")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all runs here: making a database takes seconds."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def run(make_run: MakeRun, root: Path, request: pytest.FixtureRequest) -> RunDirectory:
    return make_run(key=request.node.name, root=root)


def send(run: RunDirectory, config: MLflowConfig | None = None) -> None:
    (run.path / FOLDER).mkdir(exist_ok=True)
    with Sender("mlflow", config or MLflowConfig(), run) as sender:
        sender.send()


@pytest.fixture
def client(root: Path, make_run: MakeRun) -> Any:
    from mlflow import MlflowClient

    if not (root / "mlflow.db").exists():
        send(make_run(key="first", root=root))
    return MlflowClient(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")


def found(client: Any, run: RunDirectory) -> Any:
    """The one run of this name."""
    experiment = client.get_experiment_by_name("numbers")
    (only,) = client.search_runs([experiment.experiment_id], f"tags.key = '{run.path.name}'")
    return only


def history(client: Any, run: RunDirectory, name: str) -> list[tuple[int, float, int]]:
    points = client.get_metric_history(found(client, run).info.run_id, name)
    return [(p.step, p.value, p.timestamp) for p in sorted(points, key=lambda p: p.step)]


def test_a_run(run: RunDirectory, client: Any) -> None:
    write_updates(run, 1, 2)
    with Journal(run.journal) as journal:
        journal.write("valid", 2, metrics={"bleu": 20.0})
    folder = run.path / "final/test"
    folder.mkdir(parents=True)
    (folder / "hypotheses.txt").write_text("eins\n")
    finish(run)
    for _ in range(2):
        send(run)
    there = found(client, run)
    assert there.info.status == "FINISHED"
    assert there.info.run_name == run.path.name
    assert there.data.params["model"] == "transformer"
    assert there.data.tags["signature/bleu"] == "nrefs:1"
    assert there.data.tags["mlflow.source.git.commit"] == "c" * 40
    assert there.data.metrics["final/test/bleu"] == 30.0
    assert there.data.metrics["valid/bleu"] == 20.0
    lines = list(journal_lines(run))
    assert history(client, run, "train/loss") == [
        (1, 1.0, round(lines[0]["time"] * 1000)),
        (2, 0.5, round(lines[1]["time"] * 1000)),
    ]
    assert there.info.start_time == round(lines[0]["time"] * 1000)
    assert there.info.end_time == round(lines[-1]["time"] * 1000)
    artifacts = run.path.parents[1] / "mlflow-artifacts/numbers" / there.info.run_id / "artifacts"
    assert (artifacts / "final/test/hypotheses.txt").read_text() == "eins\n"
    assert (artifacts / "config.json").read_text() == run.config.read_text()


def journal_lines(run: RunDirectory) -> Iterator[dict[str, Any]]:
    from seqexp.runs.journal import read_journal

    return read_journal(run.journal)


def test_resuming_adds_to_the_same_run(run: RunDirectory, client: Any) -> None:
    write_updates(run, 1, 2)
    send(run)
    assert found(client, run).info.status == "KILLED"
    changed = {**CONFIG, "model": {"component": "model/transformer", "dropout": 0.3, "bias": True}}
    run.describe(changed, [], {})
    write_updates(run, 2, 3)
    finish(run)
    send(run)
    there = found(client, run)
    assert there.info.status == "FINISHED"
    assert there.data.params["model.dropout"] == "0.1"
    assert there.data.tags["changed/model.dropout"] == "0.3"
    assert there.data.params["model.bias"] == "true"
    assert [step for step, *_ in history(client, run, "train/loss")] == [1, 2, 3]


def test_a_run_made_just_before_a_kill_is_found(
    run: RunDirectory, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it was sent, though nobody remembers, is not doubled."""
    write_updates(run, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(Sender, "_remember", lambda self, **changes: self._state.update(changes))
        (run.path / FOLDER).mkdir()
        sender = Sender("mlflow", MLflowConfig(), run)
        sender.send()
    sender._state.update(positions={}, reached={}, files={}, described=None, status=None)
    sender.tracker.memory.clear()
    sender._remember()
    send(run)
    assert [step for step, *_ in history(client, run, "train/loss")] == [1, 2]


def test_values_that_are_not_finite(run: RunDirectory, client: Any) -> None:
    write_updates(run, 1, loss=float("nan"), perplexity=float("inf"))
    for _ in range(2):
        send(run)
    ((_, loss, _),) = history(client, run, "train/loss")
    ((_, perplexity, _),) = history(client, run, "train/perplexity")
    assert isnan(loss)
    assert isnan(perplexity)
    assert found(client, run).data.tags["infinite/train/perplexity"] == "inf at 1"


def test_parameters_of_any_length_number_and_name(make_run: MakeRun, root: Path, client: Any) -> None:
    many = {f"option {number} ü=": number for number in range(250)}
    run = make_run(key="long", root=root, long="x" * 9000, many=many)
    for _ in range(2):
        send(run)
    params = found(client, run).data.params
    assert len(params["long"]) == 6000
    assert params["long"].endswith("(shortened; whole in config.json)")
    assert params["many.option 249 __"] == "249"
    assert not any(tag.startswith("changed/") for tag in found(client, run).data.tags)


def test_a_run_deleted_there_is_not_sent(run: RunDirectory, client: Any) -> None:
    send(run)
    client.delete_run(found(client, run).info.run_id)
    with pytest.raises(TrackerError, match="was deleted there; restore it, or remove"):
        send(run)


def test_elsewhere_everything_is_sent_again(run: RunDirectory, client: Any, tmp_path: Path, root: Path) -> None:
    """A second database: a copy of the first, so that none need be made."""
    write_updates(run, 1, 2)
    send(run)
    other = tmp_path / "other.db"
    other.write_bytes((root / "mlflow.db").read_bytes())
    write_updates(run, 3)
    config = MLflowConfig(uri=f"sqlite:///{other}")
    send(run, config)
    send(run)  # no URI: where it was sent last
    from mlflow import MlflowClient

    assert len(history(MlflowClient(tracking_uri=config.uri), run, "train/loss")) == 3
    assert len(history(client, run, "train/loss")) == 2
    send(run, MLflowConfig(uri=f"sqlite:///{root / 'mlflow.db'}"))
    assert len(history(client, run, "train/loss")) == 3


def test_a_server_that_refuses_or_never_answers_is_told_in_a_line(run: RunDirectory) -> None:
    write_updates(run, 1, 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TrackerError, match=rf"^MLflow at http://127.0.0.1:{port}: .*timed out"):
            send(run, MLflowConfig(uri=f"http://127.0.0.1:{port}"))
    with pytest.raises(TrackerError, match="Connection refused"):
        send(run, MLflowConfig(uri=f"http://127.0.0.1:{port}"))
    assert Sender("mlflow", MLflowConfig(), run).num_unsent() == 2


def test_what_is_unsent_is_counted_for_the_place_it_goes_to(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    write_updates(run, 1, 2)
    send(run)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert Sender("mlflow", MLflowConfig(), run).num_unsent() == 0, "it goes on where it began"
    assert Sender("mlflow", MLflowConfig(uri="http://127.0.0.1:9"), run).num_unsent() == 2


def test_a_password_is_written_nowhere(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://ann:p%40ss@127.0.0.1:9"
    saved = {**CONFIG, "tracker": {"mlflow": {"component": "tracker/mlflow", "uri": uri}}}
    run.describe(saved, [f"tracker.mlflow.uri={uri}"], {"command": ["train", f"tracker.mlflow.uri={uri}"]})
    with pytest.raises(TrackerError) as raised:
        send(run, MLflowConfig(uri=uri))
    assert "p%40ss" not in str(raised.value)
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss"
    for path in run.path.rglob("*"):
        assert path.is_dir() or "p%40ss" not in path.read_text()
    # the process that sends is told by its environment, and knows it again by what the config shows
    tracker = Sender("mlflow", MLflowConfig(uri=uri), run).tracker
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.environment()["MLFLOW_TRACKING_URI"])
    masked = MLflowConfig(uri="http://***@127.0.0.1:9")
    assert Sender("mlflow", masked, run).tracker.environment() == {"MLFLOW_TRACKING_URI": uri}
    assert "ann" not in tracker.look()


def test_the_password_of_a_database_must_be_given() -> None:
    assert without_password("http://***@host:5000/x") == "http://host:5000/x"
    assert without_password("postgresql://ann:pw@host/db") == "postgresql://ann:pw@host/db"
    with pytest.raises(TrackerError, match="give the URI in MLFLOW_TRACKING_URI"):
        without_password("postgresql://***@host/db")


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "sqlite:///relative.db", ""])
def test_uris_that_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="uri="):
        MLflowConfig(uri=uri)


def test_many_start_at_once_on_a_fresh_disk(make_run: MakeRun, tmp_path: Path) -> None:
    """Threads stand for processes: a turn belongs to one of either."""
    runs = [make_run(key=f"run{number}", root=tmp_path / "outputs") for number in range(6)]
    for run in runs:
        write_updates(run, 1, 2, 3)
        finish(run)
    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(send, runs))
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'outputs/mlflow.db'}")
    for run in runs:
        assert len(history(client, run, "train/loss")) == 3
    assert sorted(path.name for path in (tmp_path / "outputs").iterdir()) == [
        "mlflow-artifacts",
        "mlflow.db",
        "numbers",
    ]
