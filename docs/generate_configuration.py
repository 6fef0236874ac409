"""Writes docs/configuration.md from the config dataclasses: `python docs/generate_configuration.py`."""

import ast
import dataclasses
import inspect
import json
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from omegaconf import MISSING

from seqexp.average import AverageConfig
from seqexp.catalog import CATALOG, import_config
from seqexp.config.command import config_dir
from seqexp.data.prepare import PrepareConfig
from seqexp.eval_lm import EvalLMConfig
from seqexp.export import ExportConfig
from seqexp.generate import GenerateConfig
from seqexp.interactive import InteractiveConfig
from seqexp.rerank import RerankConfig
from seqexp.runs.__main__ import RunsConfig
from seqexp.score import ScoreConfig
from seqexp.serve import ServeConfig
from seqexp.sync import SyncConfig
from seqexp.training.config import TrainConfig
from seqexp.validate import ValidateConfig
from seqexp.verify import VerifyConfig

PAGE = Path(__file__).with_name("configuration.md")
COMMANDS = {
    "preprocess": PrepareConfig,
    "train": TrainConfig,
    "generate": GenerateConfig,
    "validate": ValidateConfig,
    "eval_lm": EvalLMConfig,
    "average": AverageConfig,
    "interactive": InteractiveConfig,
    "score": ScoreConfig,
    "rerank": RerankConfig,
    "runs": RunsConfig,
    "verify": VerifyConfig,
    "sync": SyncConfig,
    "export": ExportConfig,
    "serve": ServeConfig,
}
SEVERAL = ("scorer", "tracker")
"""Groups of which a config can name several; their options go by the component's name."""

HEADER = """\
# Options

Made by `docs/generate_configuration.py` from the config dataclasses; do not edit. Values are written `key=value` on the
command line, those of a section or group `section.key=value`.
"""


def page() -> str:
    parts = [HEADER]
    for name, config in COMMANDS.items():
        parts.append(f"## python -m seqexp.{name}\n")
        choices = yaml.safe_load((Path(config_dir()) / f"{name}.yaml").read_text())["defaults"]
        chosen = {group: choice for entry in choices if isinstance(entry, dict) for group, choice in entry.items()}
        parts += section(config, "", chosen)
    for group, components in CATALOG.items():
        parts.append(f"## {group}=...\n")
        for name, location in components.items():
            parts.append(f"### {group}={name}\n")
            prefix = f"{group}.{name}." if group in SEVERAL else f"{group}."
            parts += section(import_config(location), prefix)
    return "\n".join(parts)


def section(config: type, prefix: str, chosen: Mapping[str, Any] | None = None) -> list[str]:
    """What a dataclass says of itself, and a row for each option; `chosen` are the default choices of groups."""
    doc = inspect.getdoc(config) or ""
    lines = [] if doc.startswith(f"{config.__name__}(") else [doc + "\n"]
    table = rows(config, prefix, chosen or {})
    return [*lines, *(["| option | default | |", "|---|---|---|", *table, ""] if table else [])]


def rows(config: type, prefix: str, chosen: Mapping[str, Any]) -> list[str]:
    explanations, hints, found = docs_of_fields(config), get_type_hints(config), []
    for field in dataclasses.fields(config):
        if field.name == "_target_":
            continue
        key, kind = f"{prefix}{field.name}", hints[field.name]
        if isinstance(kind, type) and dataclasses.is_dataclass(kind) and field.name not in chosen:
            found += rows(kind, f"{key}.", {})
            continue
        text = " ".join(explanations.get(field.name, "").split())
        value = default(field)
        if field.name in chosen:
            text, value = f"One of the choices below. {text}".strip(), f"`{chosen[field.name]}`"
        elif isinstance(kind, type) and issubclass(kind, Enum):
            text = f"{text} One of {', '.join(kind.__members__)}.".strip()
        found.append(f"| `{key}` | {value} | {text.replace('|', chr(92) + '|')} |")
    return found


def default(field: "dataclasses.Field[Any]") -> str:
    value = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    if value == MISSING:
        return "needed"
    if dataclasses.is_dataclass(value):
        return "its own"
    plain = value is None or isinstance(value, bool)
    return f"`{json.dumps(value) if plain else value}`"


def docs_of_fields(config: type) -> dict[str, str]:
    """The string under each field, those of base classes included."""
    docs: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        tree = ast.parse(inspect.getsource(base)).body[0]
        assert isinstance(tree, ast.ClassDef)
        for field, following in zip(tree.body, tree.body[1:], strict=False):
            is_doc = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_doc:
                docs[field.target.id] = str(following.value.value)  # type: ignore[attr-defined]
    return docs


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
