from pathlib import Path

from seqexp.__main__ import commands
from seqexp.config.command import config_dir


def test_every_command_is_listed() -> None:
    # command.yaml is what all of them share.
    assert set(commands()) == {path.stem for path in Path(config_dir()).glob("*.yaml") if path.stem != "command"}
    assert all(what.endswith(".") for what in commands().values())
