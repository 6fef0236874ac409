"""Base classes of every component's config."""

from dataclasses import dataclass, field
from typing import ClassVar

from omegaconf import MISSING


@dataclass
class ComponentConfig:
    """Config of one component; `_target_` names the class that `build` makes from it.

    Our own classes take their config whole, `X(config, *, runtime...)`. A config of a class from another library sets
    `fields_as_arguments`, and its fields become keyword arguments, but for `other_fields`, which somebody else reads.
    """

    fields_as_arguments: ClassVar[bool] = False
    other_fields: ClassVar[frozenset[str]] = frozenset()

    _target_: str = MISSING


@dataclass
class CommandConfig:
    """What the root config of every command has."""

    plugins: list[str] = field(default_factory=list)
    """Importable modules whose components and presets are to be known besides those of installed plug-ins."""
    trust: list[str] = field(default_factory=list)
    """Components from outside the catalog, `module:ConfigClass`, that a saved config may name."""


class OptionError(ValueError):
    """An option's value that is not valid, also where only the data or the model shows it: a mistake of the user's."""


def require(condition: bool, field: str, value: object, right: str) -> None:
    """Raise the OptionError that tells a user which option is wrong, its value, and what would be right."""
    if not condition:
        raise OptionError(f"{field}={value} is not valid: {right}")


def one_or_more(field: str, value: object, noun: str) -> list[str]:
    """A value that may be one path or a list of them, as a list. OmegaConf has no type for it: such a field is Any."""
    paths = [value] if isinstance(value, str) else value
    is_paths = isinstance(paths, list) and bool(paths) and all(isinstance(path, str) for path in paths)
    require(is_paths, field, value, f"a {noun} or a list of them")
    assert isinstance(paths, list)
    return paths
