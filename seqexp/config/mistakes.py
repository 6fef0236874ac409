"""Says in one line what is wrong with a command line, and what its writer probably meant."""

import contextlib
import dataclasses
import errno
import re
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from typing import Any

import yaml
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqexp.runtime.errors import UserError
from seqexp.runtime.secrets import contains_secret, mask

KnownKeys = Callable[[list[str]], list[str]]
Choices = Callable[[str], list[str]]


ENVIRONMENT = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENAMETOOLONG,
    }
)
"""Errors of the operating system that its user can mend."""


_FLAGS = """
--help -h --hydra-help --version --cfg -c --resolve --package -p --run -r --multirun -m --shell-completion -sc
--config-path -cp --config-name -cn --config-dir -cd --experimental-rerun --info -i
"""
FLAGS = frozenset(_FLAGS.split())
"""Those of Hydra; everything else is written key=value."""
_FLAGS_WITH_VALUE = """
--cfg -c --package -p --config-path -cp --config-name -cn --config-dir -cd --experimental-rerun --info -i
"""
FLAGS_WITH_VALUE = frozenset(_FLAGS_WITH_VALUE.split())


@contextlib.contextmanager
def refusals_told() -> Iterator[None]:
    """Turn what the operating system refuses (no space, no permission) into a UserError of one line."""
    try:
        yield
    except OSError as error:
        if error.errno not in ENVIRONMENT:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{where}{error.strerror}") from error


def refuse_unknown_flags(arguments: list[str], known_keys: Callable[[], list[str]]) -> None:
    """
    Raises:
        UserError: an argument looks like an option of another program, `--lr 0.1`.
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        if name.startswith("-") and name not in FLAGS:
            word = name.lstrip("-").replace("-", "_")
            key = next((key for key in sorted(known_keys(), key=_depth) if key.rpartition(".")[2] == word), "key")
            raise UserError(f"unknown flag {name}: options are written {key}=value")


def refuse_secrets_of_a_sweep(arguments: list[str]) -> None:
    """Hydra and its launchers write the overrides of a sweep to files of their own.

    Raises:
        UserError: one of them holds a password.
    """
    if not any(argument in ("--multirun", "-m", "hydra.mode=MULTIRUN") for argument in arguments):
        return
    for argument in arguments:
        if contains_secret(argument):
            raise UserError(
                f"{mask(argument)}: a sweep's options are written to files, so give no password there: set an "
                "environment variable and write ${oc.env:NAME}; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD "
                "are found without"
            )


def yaml_error(error: yaml.YAMLError) -> str:
    """A YAML file that cannot be read, with the place."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f"not readable as YAML: {' '.join(str(error).split())}"
    mark = error.problem_mark
    return f"{mark.name}:{mark.line + 1}:{mark.column + 1}: not readable as YAML: {error.problem}"


def explain(error: Exception, known_keys: KnownKeys, choices: Choices, arguments: list[str]) -> str:
    """One line about a config that does not compose.

    Args:
        error: what Hydra or OmegaConf raised.
        known_keys: gives every key of the config under a list of overrides.
        choices: gives the choices of a group.
        arguments: the command line.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _unknown_choice(error.missing_cfg_file, choices)
    if isinstance(error, OverrideParseException):
        right = "quote values with special characters twice: 'name=\"two words\"'"
        if "=" not in str(error.override):
            right = "write key=value, such as run=outputs/default/..."
        return f"cannot read the override {error.override!r}: {right}"
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        cause = error.__cause__
        if isinstance(cause, OmegaConfBaseException) and "not in" not in str(cause):
            return value_error(cause)
        return _unknown_key(match[1], known_keys, arguments)
    if match := re.search(r"Error merging override (\S+?)=(.*)", text):
        if isinstance(error.__cause__, OmegaConfBaseException):
            return value_error(error.__cause__)
        return f"{match[1]}={match[2]} is not valid"
    if isinstance(error.__cause__, OmegaConfBaseException):
        return f"{value_error(error).rstrip(':')}: {value_error(error.__cause__)}"
    return value_error(error)


def value_error(error: BaseException) -> str:
    """An OmegaConf error as `key: what is wrong`."""
    lines = str(error).strip().splitlines()
    first = f"{lines[0]} {lines[1].strip()}" if lines[0].endswith(":") and len(lines) > 1 else lines[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {first}" if key else first


def nearest(word: str, choices: Iterable[str]) -> str:
    """`; did you mean ...?` for the closest choice, or the empty string."""
    close = get_close_matches(word, list(choices), n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else ""


def keys_of(node: DictConfig, prefix: str = "") -> list[str]:
    """Every dotted key of a config, branches and leaves."""
    keys = []
    for key in map(str, node):
        keys.append(f"{prefix}{key}")
        child = None if OmegaConf.is_missing(node, key) else node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            keys += keys_of(child, f"{prefix}{key}.")
    return keys


def unread_keys(node: DictConfig, prefix: str = "") -> list[str]:
    """Keys inside dataclasses that are none of their fields."""
    kind = OmegaConf.get_type(node)
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else None
    unread = []
    for key in map(str, node):
        if fields is not None and key not in fields:
            unread.append(f"{prefix}{key}")
        elif isinstance(child := node._get_node(key), DictConfig) and not child._is_none() and not child._is_missing():
            unread += unread_keys(child, f"{prefix}{key}.")
    return unread


def refused_value(node: DictConfig, prefix: str = "") -> str | None:
    """What the innermost dataclass that refuses its values says, with the full key of the field."""
    for key in map(str, node):
        child = None if OmegaConf.is_missing(node, key) else node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            found = refused_value(child, f"{prefix}{key}.")
            if found is not None:
                return found
    try:
        OmegaConf.to_object(node)
    except ValueError as error:
        return f"{prefix}{error}"
    return None


def refuse_other_targets(config: Any, prefix: str = "") -> None:
    """
    Raises:
        UserError: a component's `_target_` was changed: in files it goes by its config class, and the change is lost.
    """
    if isinstance(config, dict):
        for name, item in config.items():
            refuse_other_targets(item, f"{prefix}{name}.")
    if not dataclasses.is_dataclass(config):
        return
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "_target_" and value != field.default:
            raise UserError(f"{prefix}_target_={value} is not valid: a preset of its own names another class")
        refuse_other_targets(value, f"{prefix}{field.name}.")


def _unknown_choice(missing: str, choices: Choices) -> str:
    group, _, choice = missing.rpartition("/")
    options = choices(group)
    if not group:
        return f"no config named {choice}{nearest(choice, options)}"
    return f"{group}={choice} is not one of its choices ({', '.join(options)}){nearest(choice, options)}"


def _unknown_key(key: str, known_keys: KnownKeys, arguments: list[str]) -> str:
    others = [a for a in arguments if "=" in a and not a.startswith("-") and a.split("=", 1)[0].lstrip("+~") != key]
    known = known_keys(others)
    parent, _, last = key.rpartition(".")
    siblings = [k for k in known if k.rpartition(".")[0] == parent]
    close = get_close_matches(last, [k.rpartition(".")[2] for k in siblings], n=1, cutoff=0.6)
    if close:
        hint = f"; did you mean {parent + '.' if parent else ''}{close[0]}?"
    else:
        # The right name in the wrong place comes before one that merely looks alike.
        moved = [k for k in known if k.rpartition(".")[2] == last]
        hint = f"; did you mean {min(moved, key=_depth)}?" if moved else nearest(key, known)
    return f"unknown key {key}{hint}"


def _depth(key: str) -> int:
    return key.count(".")
