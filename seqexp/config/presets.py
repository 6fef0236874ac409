"""Presets from outside the package: more folders of YAML files, and components that a file names by `_target_`."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

from hydra._internal.core_plugins import file_config_source, importlib_resources_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqexp.config.base import ComponentConfig
from seqexp.config.mistakes import nearest, value_error
from seqexp.runtime.errors import UserError

SCHEME = "file://"


class PresetFolders(SearchPathPlugin):
    """Tells Hydra of the folders of plug-ins, after those of seqexp."""

    folders: ClassVar[dict[str, Path]] = {}
    """By the name of who brings them; Hydra makes its plug-ins without arguments."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provider, folder in self.folders.items():
            search_path.append(provider=provider, path=f"{SCHEME}{folder}")


# Hydra knows a source by its class's name and refuses another name for the same scheme, so these keep the names.


class FileConfigSource(file_config_source.FileConfigSource):
    """YAML files; one that names a component by `_target_` gets the component's schema."""

    def load_config(self, config_path: str) -> ConfigResult:
        return _with_schema(super().load_config(config_path), config_path)


class ImportlibResourcesConfigSource(importlib_resources_config_source.ImportlibResourcesConfigSource):
    """The same inside packages, for `pkg://` in a search path."""

    def load_config(self, config_path: str) -> ConfigResult:
        return _with_schema(super().load_config(config_path), config_path)


def use_presets(folders: Mapping[str, Path], own: Path) -> None:
    """Let Hydra find the presets in `folders`, given by the name of who brings each.

    Raises:
        UserError: a file has the name of one in `own`, seqexp's folder: Hydra would never read it.
    """
    taken = _names(own)
    for provider, folder in folders.items():
        for name in sorted(_names(folder) & taken):
            group, _, choice = name.rpartition("/")
            raise UserError(f"{folder / name}.yaml ({provider}): {group}={choice} is taken; give it another name")
    PresetFolders.folders = dict(folders)
    Plugins.instance().register(PresetFolders)
    sources: dict[str, Any] = SourcesRegistry.instance().types
    sources.update({source.scheme(): source for source in (FileConfigSource, ImportlibResourcesConfigSource)})


def folders_on_command_line(arguments: list[str]) -> dict[str, Path]:
    """The folders of `--config-dir` and of `hydra.searchpath=[file://...]`, which Hydra adds itself.

    Raises:
        UserError: one of them is not there.
    """
    found = {}
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name in ("--config-dir", "-cd"):
            found["--config-dir"] = value or (arguments[position + 1] if position + 1 < len(arguments) else "")
        elif name == "hydra.searchpath":
            paths = [path.strip(" '\"") for path in value.strip("[] ").split(",")]
            found |= {path: path.removeprefix(SCHEME) for path in paths if path.startswith(SCHEME)}
    for key, path in found.items():
        if not Path(path).is_dir():
            raise UserError(f"{key}={path}: there is no such folder of presets")
    return {key: Path(path) for key, path in found.items()}


def config_class_of(target: str) -> type[ComponentConfig]:
    """The config dataclass of the component class `package.module.Class`: the type of its first such argument.

    Raises:
        UserError: there is no such class, or it takes no config.
    """
    module_name, _, name = target.rpartition(".")
    try:
        module = import_module(module_name)
    except (ImportError, ValueError) as error:
        raise UserError(f"_target_={target} cannot be imported: {error}") from error
    component = getattr(module, name, None)
    if not isinstance(component, type):
        raise UserError(f"_target_={target}: {module_name} has no class {name}{nearest(name, vars(module))}")
    constructor = inspect.getattr_static(component, "__init__")
    for hint in get_type_hints(constructor).values() if inspect.isfunction(constructor) else ():
        if isinstance(hint, type) and issubclass(hint, ComponentConfig):
            if hint._target_ != target:
                right = f'_target_: str = "{target}"'
                raise UserError(f"{hint.__name__} must name the class, so that runs can be read again: {right}")
            return hint
    raise UserError(
        f"_target_={target}: its __init__ must take a config, `config: SomeConfig`, of a dataclass derived from the "
        "group's base config"
    )


def _with_schema(result: ConfigResult, config_path: str) -> ConfigResult:
    """A component named by `_target_` alone, with its options' names, types and defaults."""
    config = result.config
    is_component = isinstance(config, DictConfig) and "_target_" in config and "defaults" not in config
    if not is_component or config_path.startswith("hydra/"):
        return result
    where = f"{result.path.removeprefix(SCHEME)}/{config_path.removesuffix('.yaml')}.yaml"
    try:
        schema = OmegaConf.structured(config_class_of(config["_target_"]))
        result.config = OmegaConf.merge(schema, config)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except OmegaConfBaseException as error:
        unknown = getattr(error, "key", None)
        hint = nearest(str(unknown), schema) if unknown is not None and str(unknown) not in schema else ""
        raise UserError(f"{where}: {value_error(error)}{hint}") from error
    return result


def _names(folder: Path) -> set[str]:
    """Presets below a folder: `model/transformer`."""
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    return {path.as_posix() for path in paths}
