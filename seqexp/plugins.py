"""Components from outside the package, in every command.

A plug-in is an importable module with `CATALOG`, `{group: {name: "module:ConfigClass"}}`; a package may bring presets
in a folder `conf/` of its own. It is known when its distribution has an entry point of the group `seqexp.plugins`, or
when `plugins=[name]` says so on the command line. (A single class needs no plug-in: a preset names it by `_target_`.)
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from seqexp import catalog
from seqexp.config import command
from seqexp.config.base import CommandConfig
from seqexp.config.presets import folders_on_command_line, use_presets
from seqexp.runtime.errors import UserError

ENTRY_POINTS = "seqexp.plugins"

Config = TypeVar("Config", bound=CommandConfig)


def run(name: str, config_class: type[Config], main: Callable[[Config], Any], groups: Sequence[str]) -> None:
    """Run the command `name` on `sys.argv`, with the components of seqexp and of all plug-ins.

    Args:
        main: is given the command's config; its return value is what a sweeper optimises.
        groups: those of the catalog that the command uses.
    """

    def with_plugins(config: Config) -> Any:
        # A job may run in another process than the one that read the command line.
        load_plugins(config.plugins)
        return main(config)

    def prepare() -> Mapping[str, Mapping[str, Callable[[], type]]]:
        folders = load_plugins(plugins_on_command_line(sys.argv[1:]))
        use_presets({**folders, **folders_on_command_line(sys.argv[1:])}, Path(command.config_dir()))
        return catalog.schemas(*groups)

    command.run(name, config_class, with_plugins, prepare)


def load_plugins(names: Sequence[str] = ()) -> dict[str, Path]:
    """Add the installed plug-ins and those named to the catalog; doing it again changes nothing.

    Returns:
        Folders of presets, by plug-in.

    Raises:
        UserError: one cannot be imported, has no catalog, or takes a name that is taken.
    """
    folders = {}
    installed = [entry.value for entry in entry_points(group=ENTRY_POINTS)]
    for name in dict.fromkeys([*installed, *names]):
        module = _import(name)
        catalog.extend(_catalog_of(module, name), name)
        folder = Path(module.__file__ or "").parent / "conf"
        if hasattr(module, "__path__") and folder.is_dir():
            folders[name] = folder
    return folders


def plugins_on_command_line(arguments: Sequence[str]) -> list[str]:
    """What `plugins=[...]` names: they must be known before the rest of the command line makes sense.

    Raises:
        UserError: it is not a list of names.
    """
    names: list[str] = []
    for argument in arguments:
        if argument.lstrip("+").partition("=")[0] != "plugins":
            continue
        try:
            override = OverridesParser.create().parse_override(argument)
            value = None if override.is_sweep_override() else override.value()
        except HydraException:
            value = None
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise UserError(f"{argument} is not valid: give a list of importable names, plugins=[my_package]")
        names += value
    return names


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"plug-in {name} cannot be imported: {error}") from error
    except Exception as error:  # whatever its code does; HYDRA_FULL_ERROR=1 shows where
        raise UserError(f"plug-in {name} cannot be imported: {type(error).__name__}: {error}") from error


def _catalog_of(module: ModuleType, name: str) -> Mapping[str, Mapping[str, str]]:
    found = getattr(module, "CATALOG", None)
    if not isinstance(found, Mapping):
        raise UserError(f'plug-in {name} has no CATALOG: it must be {{group: {{name: "module:ConfigClass"}}}}')
    return found
