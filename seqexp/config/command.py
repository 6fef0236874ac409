"""Turns a root config and a function into a command line: a Hydra application whose errors are one line."""

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import hydra
import yaml
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from seqexp.config import mistakes
from seqexp.config.base import OptionError
from seqexp.runtime.errors import UserError
from seqexp.runtime.interrupts import INTERRUPTED, raise_interrupts
from seqexp.runtime.secrets import MaskedStream, mask

Config = TypeVar("Config")
Schemas = Mapping[str, Mapping[str, Callable[[], type]]]
"""By group and component, what imports the config class."""

EXIT_MISTAKE = 2
"""Exit status after a user's mistake; a crash gives 1, Ctrl-C gives 130."""
EXIT_BROKEN_PIPE = 141
"""As a shell reports a process that SIGPIPE ended."""

HELP = """\
Write options as key=value, those of a group as group.key=value, a group's choice as group=choice.
Several values (seed=1,2) with --multirun run once for each. --cfg job prints the config only."""


def config_dir() -> str:
    """The absolute path of `conf/`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


class LazySchema(ConfigNode):
    """A schema in Hydra's store that imports its config class when it is first used."""

    def __init__(self, name: str, group: str | None, load: Callable[[], type]) -> None:
        self._load = load
        self._node: DictConfig | None = None
        self.name, self.group, self.package, self.provider = name, group, None, "seqexp"

    @property
    def node(self) -> DictConfig:
        if self._node is None:
            self._node = OmegaConf.structured(self._load())
        return self._node

    @node.setter
    def node(self, value: DictConfig) -> None:
        self._node = value


def register(name: str, config_class: type, groups: Schemas) -> None:
    """Tell Hydra the schemas of a command: its root as `<name>_schema`, a component as `<group>/schema/<component>`."""
    store = ConfigStore.instance().repo
    store[f"{name}_schema.yaml"] = LazySchema(f"{name}_schema.yaml", None, lambda: config_class)
    for group, components in groups.items():
        schemas = store.setdefault(group, {}).setdefault("schema", {})
        for component, load in components.items():
            schemas[f"{component}.yaml"] = LazySchema(f"{component}.yaml", f"{group}/schema", load)


def run(
    name: str,
    config_class: type[Config],
    main: Callable[[Config], Any],
    prepare: Callable[[], Schemas],
) -> None:
    """Run the command `name`, whose defaults are in `conf/<name>.yaml`, on `sys.argv`.

    A mistake of the user's is told in one line, without a stack trace unless HYDRA_FULL_ERROR=1 asks for one.

    Args:
        main: is given the composed config as a dataclass, checked; its return value is what a sweeper optimises.
        prepare: makes known what the command line may choose; gives the schemas of each group.
    """
    trace_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    started = False

    def job(node: DictConfig) -> Any:
        nonlocal started
        started = True
        try:
            with mistakes.refusals_told():
                return main(typed(node, config_class))
        except (UserError, OptionError) as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise  # the other jobs go on; Hydra raises this again at the end
            _leave(error, trace_wanted)

    job.__module__, job.__qualname__ = "seqexp", name
    sys.excepthook = _print_masked
    sys.argv[1:] = flags_first(sys.argv[1:])
    application = hydra.main(version_base="1.3", config_path=config_dir(), config_name=name)(job)
    try:
        raise_interrupts()
        groups = prepare()
        register(name, config_class, groups)
        mistakes.refuse_unknown_flags(sys.argv[1:], lambda: _known_keys(name, []))
        if help_wanted(sys.argv[1:]):
            sys.stdout.write(help_text(name, groups, sys.argv[1:]))
            return
        mistakes.refuse_secrets_of_a_sweep(sys.argv[1:])
        # Hydra tells the overrides of a job that failed, and a trace may hold anything.
        with contextlib.redirect_stderr(MaskedStream(sys.stderr)), _errors_raised(), mistakes.refusals_told():
            application()
        sys.stdout.flush()
    except (UserError, OptionError) as error:
        _leave(error, trace_wanted)
    except yaml.YAMLError as error:
        _leave(UserError(mistakes.yaml_error(error)), trace_wanted)
    except BrokenPipeError:
        # Who read our output has gone, as `head` does. What is still in the buffer has no reader either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(EXIT_BROKEN_PIPE) from None
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if started and not isinstance(error, HydraException | OmegaConfBaseException):
            raise
        message = mistakes.explain(error, lambda overrides: _known_keys(name, overrides), _choices, sys.argv[1:])
        _leave(UserError(message), trace_wanted)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def typed(node: DictConfig, config_class: type[Config]) -> Config:
    """The dataclass that a composed config describes; its `__post_init__`s have checked it.

    Raises:
        UserError: a missing value, one that a dataclass refuses, or a key added with `+` that nothing would read.
    """
    if unread := mistakes.unread_keys(node):
        raise UserError(f"unknown key {unread[0]}: nothing reads it")
    missing = sorted(OmegaConf.missing_keys(node))
    if missing:
        raise UserError(f"missing: give a value for {', '.join(f'{key}=...' for key in missing)}")
    try:
        config = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        raise UserError(mistakes.value_error(error)) from error
    except ValueError as error:
        raise UserError(mistakes.refused_value(node) or str(error)) from error
    assert isinstance(config, config_class)
    mistakes.refuse_other_targets(config)
    return config


def given_overrides() -> list[str]:
    """The overrides that this job was started with."""
    return list(HydraConfig.get().overrides.task)


def overridden_fields(group: str) -> list[str] | None:
    """The options of a group that the command line sets (`group.option=value`); None where it chooses the component."""
    fields = []
    for override in given_overrides():
        key = override.split("=", 1)[0].lstrip("+")
        if key == group:
            return None
        if key.startswith(f"{group}."):
            fields.append(key.removeprefix(f"{group}.").split(".")[0])
    return fields


def flags_first(arguments: list[str]) -> list[str]:
    """The same with the `key=value`s last: Hydra's parser takes none behind a flag that follows others."""
    options: list[str] = []
    rest: list[str] = []
    for before, argument in zip(["", *arguments], arguments, strict=False):
        is_option = not argument.startswith("-") and before not in mistakes.FLAGS_WITH_VALUE
        (options if is_option else rest).append(argument)
    return rest + options


def help_wanted(arguments: list[str]) -> bool:
    return "--help" in arguments or "-h" in arguments


def help_text(name: str, groups: Iterable[str], arguments: list[str]) -> str:
    """What `--help` prints: what the command does, its groups with their choices, and its config as it stands."""
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    with _composing():
        loader = GlobalHydra.instance().config_loader()
        node = hydra.compose(name, overrides, return_hydra_config=True)
        also = [group for group in ("experiment", "debug") if group in node.hydra.runtime.choices]
        choices = {group: loader.get_group_options(group, ObjectType.CONFIG) for group in (*groups, *also)}
    header = node.hydra.help.header.strip()
    with open_dict(node):
        del node["hydra"]
    lines = [f"  {group}: {', '.join(sorted(options))}" for group, options in choices.items() if options]
    config = OmegaConf.to_yaml(node)
    return "\n".join([header, "", HELP, "", "Groups and their choices:", "", *lines, "", "The config:", "", config])


@contextlib.contextmanager
def _errors_raised() -> Iterator[None]:
    """Hydra prints its own version of an error and leaves, unless this variable makes it raise."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextlib.contextmanager
def _composing() -> Iterator[None]:
    """Hydra ready to compose, whatever state a failed application left it in."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(version_base="1.3", config_dir=config_dir()):
        yield


def _choices(group: str) -> list[str]:
    """The presets of a group; of the empty one, the commands."""
    with _composing():
        return sorted(GlobalHydra.instance().config_loader().get_group_options(group, ObjectType.CONFIG))


def _known_keys(name: str, overrides: list[str]) -> list[str]:
    """Every key of the command's config under these overrides, or under none where they do not compose."""
    with _composing():
        try:
            node = hydra.compose(name, overrides)
        except (HydraException, OmegaConfBaseException):
            node = hydra.compose(name)
    return mistakes.keys_of(node)


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What Python prints of an exception that nobody caught, without passwords."""
    sys.stderr.write(mask("".join(traceback.format_exception(kind, error, trace))))


def _leave(error: Exception, trace_wanted: bool) -> None:
    if trace_wanted:
        traceback.print_exception(error)
    if not getattr(error, "told", False):
        print(f"error: {mask(str(error))}", file=sys.stderr)
    raise SystemExit(getattr(error, "exit_status", EXIT_MISTAKE))
