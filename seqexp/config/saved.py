"""Configs in files: resolved JSON in which components go by their catalog names, never by an importable path."""

import dataclasses
import enum
from collections.abc import Callable
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqexp.config.base import ComponentConfig
from seqexp.runtime.errors import UserError

T = TypeVar("T")
COMPONENT = "component"


def to_saved(config: Any, component_name: Callable[[type], str]) -> Any:
    """A config dataclass as plain JSON values; `component_name` gives a component's catalog name."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        names = [f.name for f in dataclasses.fields(config) if f.name != "_target_"]
        values = {name: to_saved(getattr(config, name), component_name) for name in names}
        if isinstance(config, ComponentConfig):
            return {COMPONENT: component_name(type(config)), **values}
        return values
    if isinstance(config, enum.Enum):
        return config.name
    if isinstance(config, dict):
        return {key: to_saved(value, component_name) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [to_saved(value, component_name) for value in config]
    return config


def from_saved(saved: Any, expected: type[T], config_class: Callable[[str], type[ComponentConfig]], source: str) -> T:
    """The config that `to_saved` wrote.

    Args:
        expected: the class it must be an instance of, e.g. a base config.
        config_class: gives the class of a catalog name; whatever else the file may say, nothing else is imported.
        source: the file's name, for messages.

    Raises:
        UserError: an unknown component or key, a value of the wrong type, or an interpolation.
    """
    try:
        node = _typed(saved, config_class)
        if not OmegaConf.is_config(node) or OmegaConf.get_type(node) is dict:
            node = OmegaConf.merge(OmegaConf.structured(expected), node)
        config = OmegaConf.to_object(node)
    except (OmegaConfBaseException, ValueError, TypeError) as error:
        raise UserError(f"{source}: not a config that this version of seqexp can read: {_first_line(error)}") from error
    if not isinstance(config, expected):
        raise UserError(f"{source}: holds a {type(config).__name__} where a {expected.__name__} belongs")
    return config


def _typed(saved: Any, config_class: Callable[[str], type[ComponentConfig]]) -> Any:
    """Replace every saved component by a structured node of its class."""
    if isinstance(saved, str) and "${" in saved:
        raise ValueError(f"interpolation in {saved!r}")
    if isinstance(saved, list):
        return [_typed(value, config_class) for value in saved]
    if isinstance(saved, dict):
        if "_target_" in saved:
            raise ValueError("key _target_: components go by catalog name")
        values = {key: _typed(value, config_class) for key, value in saved.items() if key != COMPONENT}
        if COMPONENT in saved:
            return OmegaConf.merge(OmegaConf.structured(config_class(saved[COMPONENT])), values)
        return values
    return saved


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
