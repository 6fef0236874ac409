from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest

from seqexp.config.base import ComponentConfig, require
from seqexp.config.saved import from_saved, to_saved
from seqexp.runtime.errors import UserError


class Colour(StrEnum):
    red = "red"
    blue = "blue"


@dataclass
class Inner:
    size: int = 3


@dataclass
class Thing(ComponentConfig):
    _target_: str = "tests.Thing"
    colour: Colour = Colour.red
    inner: Inner = field(default_factory=Inner)
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    limit: int | None = None

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit > 0, "limit", self.limit, "above 0")


@dataclass
class Root:
    name: str = "x"
    thing: ComponentConfig = field(default_factory=Thing)
    things: dict[str, ComponentConfig] = field(default_factory=dict)


def name_of(kind: type) -> str:
    return {"Thing": "thing/thing"}[kind.__name__]


def class_of(name: str) -> type[ComponentConfig]:
    if name != "thing/thing":
        raise UserError(f"component {name!r} is not in the catalog")
    return Thing


def test_round_trip() -> None:
    root = Root(thing=Thing(colour=Colour.blue, inner=Inner(5), limit=2), things={"a": Thing(betas=[0.1])})
    saved = to_saved(root, name_of)
    assert saved["thing"]["component"] == "thing/thing"
    assert "_target_" not in str(saved)
    assert from_saved(saved, Root, class_of, "file") == root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"component": "os/system"}, "component 'os/system' is not in the catalog"),
        ({"_target_": "os.system"}, "key _target_: components go by catalog name"),
        ({"colour": "${oc.env:HOME}"}, "interpolation in"),
        ({"inner": {"size": "${oc.env:HOME}"}}, "interpolation in"),
        ({"unknown": 1}, "unknown"),
        ({"limit": "many"}, "many"),
        ({"limit": -1}, "limit=-1"),
        ({"colour": "green"}, "green"),
    ],
)
def test_what_a_file_may_not_say(change: dict[str, Any], message: str) -> None:
    saved = to_saved(Thing(), name_of) | change
    with pytest.raises(UserError, match=message):
        from_saved(saved, ComponentConfig, class_of, "file")


def test_a_component_of_another_kind_is_refused() -> None:
    @dataclass
    class Other(ComponentConfig):
        pass

    with pytest.raises(UserError, match="holds a Thing where a Other belongs"):
        from_saved(to_saved(Thing(), name_of), Other, class_of, "file")
