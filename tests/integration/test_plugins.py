"""Components from outside the package: presets, single classes, and packages with an entry point."""

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqexp import catalog
from seqexp.config.presets import PresetFolders
from seqexp.data import text as text_module

from .conftest import TINY, Command
from .test_pipeline import read_result
from .test_runs import failing

PLUGINS = Path(__file__).parents[1] / "plugins"
PRESETS = f"--config-dir={PLUGINS / 'presets'}"
NAMED = "seqexp_example.components:ExampleLRSchedulerConfig"
CRITERION = "seqexp_example.components:ExampleCriterionConfig"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty folder, and the catalog as it was afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PresetFolders, "folders", {})
    before = copy.deepcopy(catalog.CATALOG)
    yield
    catalog.CATALOG.clear()
    catalog.CATALOG.update(before)


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The example package can be imported, but is not installed."""
    folder = tmp_path_factory.mktemp("importable")
    (folder / "seqexp_example").symlink_to(PLUGINS / "seqexp_example")
    make_importable(folder, monkeypatch)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example package is installed, with its entry point."""
    make_importable(PLUGINS, monkeypatch)


def make_importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and in those that it starts."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(Path(__file__).parents[2])]))


def training(data: Path) -> list[str]:
    return [*TINY[-4:], "batch.max_tokens=200", f"task.data={data}", "stop.max_updates=2", "validation.scores=false"]


def test_presets_of_a_folder(data: Path, command: Command) -> None:
    result = read_result(command("train", PRESETS, "model=narrow", *training(data))[0])
    run = Path(result["checkpoint"]).parents[1]
    config = json.loads((run / "config.json").read_text())
    assert config["model"]["component"] == "model/transformer"
    assert config["model"]["encoder"]["hidden_size"] == 32
    searchpath = f"hydra.searchpath=[file://{PLUGINS / 'presets'}]"
    assert "finished already" in command("train", searchpath, "model=narrow", *training(data))[0]
    assert "narrow" in command("train", PRESETS, "--help")[0]


def test_a_class_named_by_target(
    data: Path, command: Command, importable: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [PRESETS, "experiment=narrow", *training(data)]
    run = Path(read_result(command("train", *arguments, "lr_scheduler.factor=0.125")[0])["checkpoint"]).parents[1]
    config = json.loads((run / "config.json").read_text())
    assert config["lr_scheduler"] == {"component": NAMED, "factor": 0.125}
    assert json.loads((run / "provenance.json").read_text())["code"].keys() == {"seqexp", "seqexp_example"}
    status, printed = failing(command, capsys, "train", *arguments, "lr_scheduler.factr=1")
    assert (status, printed) == (2, "error: unknown key lr_scheduler.factr; did you mean lr_scheduler.factor?\n")
    # What a file names is imported only where it is needed, and if the reader trusts it.
    command("generate", f"run={run}", "split=valid")
    status, printed = failing(command, capsys, "validate", f"run={run}", "scores=false")
    assert status == 2
    assert (
        f"component {CRITERION} is not in the catalog; if you trust that code, name it: trust=[{CRITERION}]" in printed
    )
    command("validate", f"run={run}", "scores=false", f"trust=[{CRITERION}]")


@pytest.mark.parametrize("how", ["named", "installed"])
def test_a_package_with_a_component_of_every_group(
    text: Path, command: Command, how: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("importable" if how == "named" else "installed")
    named = ["plugins=[seqexp_example]"] if how == "named" else []
    # Worker processes that are started afresh know of the plug-in too.
    monkeypatch.setattr(text_module, "get_all_start_methods", lambda: ["spawn"])
    prefixes = [f"corpus.{split}={text / split}" for split in ("train", "valid", "test")]
    choices = ["corpus=example", "tokenizer=example", "subword=example"]
    languages = ["corpus.source_lang=en", "corpus.target_lang=de", "destination=data", "num_workers=2"]
    command("preprocess", *named, *choices, *prefixes, *languages)
    stages = json.loads(Path("data/manifest.json").read_text())["stages"]["en"]
    assert [stage["component"] for stage in stages] == ["tokenizer/example", "subword/example"]

    groups = ("task", "model", "criterion", "optimizer", "lr_scheduler", "precision", "distributed", "generator")
    several = ["scorer=[example]", "tracker=[example]", "checkpoint.metric=example"]
    chosen = [*(f"{group}=example" for group in groups), *several]
    options = [*TINY[1:5], "model.option=3", "task.data=data", "stop.max_updates=2", "batch.num_workers=1"]
    run = Path(read_result(command("train", *named, *chosen, *options)[0])["checkpoint"]).parents[1]
    config = json.loads((run / "config.json").read_text())
    assert {config[group]["component"] for group in groups} == {f"{group}/example" for group in groups}
    assert config["model"]["option"] == 3
    assert "valid/example" in (run / "example.txt").read_text().split()
    command("generate", *named, f"run={run}", "scorer=[example]")


@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_sweeps_and_jobs_in_other_processes(data: Path, installed: None, launcher: str, tmp_path: Path) -> None:
    arguments = [*training(data), "lr_scheduler=example", "lr_scheduler.factor=0.5,0.25", f"hydra/launcher={launcher}"]
    arguments += ["model=transformer_tiny", "seed=1", "name=swept"]
    if launcher != "basic":
        arguments += ["hydra.launcher.timeout_min=5"]
    done = subprocess.run(
        [sys.executable, "-m", "seqexp.train", "--multirun", *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    configs = [json.loads(path.read_text()) for path in Path("outputs/swept").glob("*/config.json")]
    assert sorted(config["lr_scheduler"]["factor"] for config in configs) == [0.25, 0.5]
    assert {config["lr_scheduler"]["component"] for config in configs} == {"lr_scheduler/example"}


@pytest.mark.parametrize(
    ("files", "arguments", "message"),
    [
        ({}, ["plugins=[nowhere]"], "plug-in nowhere cannot be imported: No module named 'nowhere'"),
        ({}, ["plugins=seqexp_example"], "plugins=seqexp_example is not valid: give a list of importable names"),
        ({"mine.py": ""}, ["plugins=[mine]"], "plug-in mine has no CATALOG"),
        ({"mine.py": "CATALOG = {'models': {}}"}, ["plugins=[mine]"], "no group 'models'; did you mean model?"),
        (
            {"mine.py": "CATALOG = {'model': {'transformer': 'mine:Config'}}"},
            ["plugins=[mine]"],
            "plug-in mine: model=transformer is taken by seqexp.models.transformer:TransformerConfig",
        ),
        (
            {"presets/model/transformer.yaml": "defaults: [schema/transformer@_here_]"},
            ["--config-dir=presets"],
            "presets/model/transformer.yaml (--config-dir): model=transformer is taken; give it another name",
        ),
        ({}, ["--config-dir=presets"], "--config-dir=presets: there is no such folder of presets"),
        (
            {"presets/model/mine.yaml": "_target_: nowhere.Model"},
            ["--config-dir=presets", "model=mine"],
            "presets/model/mine.yaml: _target_=nowhere.Model cannot be imported",
        ),
        (
            {"presets/model/mine.yaml": "_target_: seqexp.models.transformer.Transfomer"},
            ["--config-dir=presets", "model=mine"],
            "seqexp.models.transformer has no class Transfomer; did you mean Transformer?",
        ),
        (
            {"mine.py": "from seqexp.criterions.cross_entropy import CrossEntropy\nclass Own(CrossEntropy): ..."}
            | {"presets/criterion/own.yaml": "_target_: mine.Own"},
            ["--config-dir=presets", "criterion=own"],
            'CrossEntropyConfig must name the class, so that runs can be read again: _target_: str = "mine.Own"',
        ),
        ({}, ["model._target_=a.B"], "model._target_=a.B is not valid: a preset of its own names another class"),
        (
            {"presets/model/mine.yaml": "_target_: json.JSONDecoder"},
            ["--config-dir=presets", "model=mine"],
            "_target_=json.JSONDecoder: its __init__ must take a config",
        ),
        (
            {"presets/model/mine.yaml": "_target_: seqexp.models.transformer.Transformer\ndropuot: 0.3"},
            ["--config-dir=presets", "model=mine"],
            "model/mine.yaml: dropuot: Key 'dropuot' not in 'TransformerConfig'; did you mean dropout?",
        ),
        (
            {"presets/model/mine.yaml": "_target_: seqexp.models.transformer.Transformer\ndropout: a"},
            ["--config-dir=presets", "model=mine"],
            "model/mine.yaml: dropout: Value 'a' of type 'str' could not be converted to Float",
        ),
    ],
)
def test_mistakes(
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    sys.modules.pop("mine", None)
    status, printed = failing(command, capsys, "train", *arguments)
    assert status == 2
    assert printed.count("\n") == 1
    assert message in printed
    assert not (tmp_path / "outputs").exists()
