"""What a user sees of a command line that is wrong."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from omegaconf import MISSING

from seqexp.catalog import CATALOG, schemas
from seqexp.config import command
from seqexp.lr_schedulers.base import LRSchedulerConfig
from seqexp.optimizers.base import OptimizerConfig
from seqexp.runtime.errors import UserError
from seqexp.training.intervals import Interval

OPTIMIZERS = ", ".join(sorted(CATALOG["optimizer"]))


@dataclass
class Root:
    name: str = "x"
    optimizer: OptimizerConfig = MISSING
    lr_scheduler: LRSchedulerConfig = MISSING
    every: Interval = field(default_factory=Interval)
    needed: str = "given"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a small command; gives (exit status, its configs or None, what it printed as error)."""
    conf = tmp_path / "conf"
    source = Path(command.config_dir())
    for group in ("optimizer", "lr_scheduler"):
        (conf / group).mkdir(parents=True)
        for preset in (source / group).glob("*.yaml"):
            (conf / group / preset.name).write_text(preset.read_text())
    (conf / "command.yaml").write_text((source / "command.yaml").read_text())
    defaults = "defaults: [command, small_schema, {optimizer: adam}, {lr_scheduler: cosine}, _self_]\n"
    (conf / "small.yaml").write_text(defaults + "hydra: {help: {header: A small command}}\n")
    monkeypatch.setattr(command, "config_dir", lambda: str(conf))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, main: Any = None) -> tuple[int, list[Root], str]:
        configs: list[Root] = []
        monkeypatch.setattr(sys, "argv", ["small", *arguments])
        try:
            command.run("small", Root, main or configs.append, lambda: schemas("optimizer", "lr_scheduler"))
            status = 0
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        return status, configs, capsys.readouterr().err

    return run


def test_options_reach_the_command_as_dataclasses(run: Any) -> None:
    status, (config,), _ = run("optimizer=sgd", "optimizer.momentum=0.9", "every.updates=3")
    assert status == 0
    assert type(config) is Root
    assert type(config.optimizer).__name__ == "SGDConfig"
    assert config.optimizer.momentum == 0.9
    assert config.every == Interval(updates=3)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("optimizer.lrr=3", "unknown key optimizer.lrr; did you mean optimizer.lr?"),
        ("optimzer.lr=3", "unknown key optimzer.lr; did you mean optimizer.lr?"),
        ("optmizer=adam", "unknown key optmizer; did you mean optimizer?"),
        ("betas=3", "unknown key betas; did you mean optimizer.betas?"),
        ("optimizer=adm", f"optimizer=adm is not one of its choices ({OPTIMIZERS}); did you mean adam?"),
        ("optimizer.lr=abc", "optimizer.lr: Value 'abc' of type 'str' could not be converted to Float"),
        ("optimizer.lr=-1", "optimizer.lr=-1.0 is not valid: a number above 0"),
        ("every.updates=1.5", "every.updates: Value '1.5' of type 'float' could not be converted to Integer"),
        ("every=3", "every: Invalid type assigned: int is not a subclass of Interval. value: 3"),
        ("needed=???", "missing: give a value for needed=..."),
        ("~optimizer", "missing: give a value for optimizer=..."),
        ("+other=1", "unknown key other: nothing reads it"),
        ("+optimizer.other=1", "unknown key optimizer.other: nothing reads it"),
        ("optimizer=null", "Config group override must be a string or a list. Got NoneType"),
        ("name=null", "name: field 'name' is not Optional"),
        ("name", "cannot read the override 'name': write key=value, such as run=outputs/default/..."),
        (
            "name=[",
            "cannot read the override 'name=[': quote values with special characters twice: 'name=\"two words\"'",
        ),
    ],
)
def test_a_mistake_is_one_line(run: Any, argument: str, message: str) -> None:
    assert run(argument) == (2, [], f"error: {message}\n")


def test_an_error_of_the_command_is_one_line(run: Any) -> None:
    def main(config: Root) -> None:
        raise UserError("task.data=x is not there")

    assert run(main=main) == (2, [], "error: task.data=x is not there\n")


def test_in_a_sweep_the_other_jobs_go_on(run: Any) -> None:
    status, configs, printed = run("--multirun", "optimizer.lr=-1,0.5")
    assert status == 2
    assert [config.optimizer.lr for config in configs] == [0.5]
    assert printed.endswith("error: optimizer.lr=-1.0 is not valid: a number above 0\n")


def test_a_crash_keeps_its_trace(run: Any) -> None:
    def main(config: Root) -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        run(main=main)


def test_ctrl_c(run: Any) -> None:
    def main(config: Root) -> None:
        raise KeyboardInterrupt

    assert run(main=main) == (130, [], "interrupted\n")


def test_help_names_groups_choices_and_values(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    status, _, _ = run("--help", "optimizer=sgd")
    assert status == 0


def test_hydra_writes_no_files(run: Any, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    run("needed=y")
    assert set(tmp_path.rglob("*")) == before


def test_a_refusal_of_the_operating_system_is_one_line(run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    def main(config: Root) -> None:
        (tmp_path / "file/below").write_text("x")

    assert run(main=main) == (2, [], f"error: {tmp_path}/file/below: Not a directory\n")


def test_other_errors_of_the_operating_system_keep_their_trace(run: Any) -> None:
    def main(config: Root) -> None:
        raise FileNotFoundError(2, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        run(main=main)


def test_a_yaml_file_that_cannot_be_read(run: Any, tmp_path: Path) -> None:
    (tmp_path / "conf/optimizer/mine.yaml").write_text("lr: 1\nbetas: [1, 2\nother: 3\n")
    status, _, printed = run("optimizer=mine")
    assert status == 2
    assert printed.endswith("conf/optimizer/mine.yaml:3:6: not readable as YAML: expected ',' or ']', but got ':'\n")


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    command_line = f"{sys.executable} -m seqexp.train --cfg job | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command_line], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout in ("141\n", "0\n")  # 0 where everything was written before the reader went


def test_a_sweep_takes_no_password(run: Any, tmp_path: Path) -> None:
    status, configs, printed = run("--multirun", "name='http://ann:secret@host/'", "optimizer.lr=1,2")
    assert (status, configs) == (2, [])
    assert printed.startswith("error: name='http://***@host/': a sweep's options are written to files, ")
    assert not (tmp_path / "outputs").exists()


def test_a_sweep_finds_a_password_in_the_environment(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "open sesame")
    status, configs, _ = run("--multirun", "name='http://ann:${oc.env:SOME_PASSWORD}@host/'", "optimizer.lr=1,2")
    assert status == 0
    assert configs[0].name == "http://ann:open sesame@host/"
    assert "sesame" not in (tmp_path / "outputs/multirun/multirun.yaml").read_text()


def test_an_unexpected_error_tells_no_password(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def main(config: Root) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        run("name='http://ann:secret@host/'", "needed=y", main=main)
    printed = capsys.readouterr().err
    assert "secret" not in printed
    assert "http://***@host/" in printed


def test_flags_may_stand_anywhere(run: Any) -> None:
    status, configs, _ = run("needed=y", "--multirun", "optimizer.lr=1,2")
    assert status == 0
    assert [config.optimizer.lr for config in configs] == [1, 2]
    arguments = ["a=1", "--config-dir", "x=y", "b=2", "-c", "job", "~c", "--info", "config"]
    expected = ["--config-dir", "x=y", "-c", "job", "--info", "config", "a=1", "b=2", "~c"]
    assert command.flags_first(arguments) == expected


def test_an_uncaught_error_tells_no_password(tmp_path: Path) -> None:
    script = """
from seqexp.config.base import CommandConfig
from seqexp.plugins import run

def main(config):
    raise RuntimeError("no answer from http://ann:secret@host/")

run("runs", CommandConfig, main, ())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("RuntimeError: no answer from http://***@host/\n")
    assert "secret" not in done.stderr
