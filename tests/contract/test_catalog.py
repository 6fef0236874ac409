"""What holds for every component: a new one is tested by being listed."""

import dataclasses
import importlib
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from seqexp.catalog import CATALOG, component_name, config_class, import_config, schemas
from seqexp.config.base import ComponentConfig
from seqexp.config.command import config_dir, register, typed
from seqexp.config.saved import from_saved, to_saved
from seqexp.data.prepare import PrepareConfig
from seqexp.generate import GenerateConfig
from seqexp.training.config import TrainConfig

COMPONENTS = [f"{group}/{name}" for group, names in CATALOG.items() for name in names]
PRESETS = sorted(
    path.relative_to(config_dir()).with_suffix("").as_posix()
    for path in Path(config_dir()).glob("*/*.yaml")
    if path.parent.name in CATALOG
)
PREPROCESS = {
    "corpus": [],
    "tokenizer": [],
    "subword": [],
}
OTHERS: dict[str, tuple[str, type[Any]]] = {"engine": ("generate", GenerateConfig)}
"""Groups that neither `preprocess` nor `train` has."""
CORPORA = {
    "parallel": ["corpus.source_lang=en", "corpus.target_lang=de", "corpus.train=x"],
    "text": ["corpus.language=en", "corpus.train=x"],
}
"""Options that have no default."""
LISTS = ("scorer", "tracker")
"""Groups of which a config names several."""


def compose(group: str, choice: str) -> Any:
    """The part of a command's config that a choice makes, as a dataclass."""
    GlobalHydra.instance().clear()
    name, root = OTHERS.get(group, ("preprocess", PrepareConfig) if group in PREPROCESS else ("train", TrainConfig))
    register(name, root, schemas(*CATALOG))
    needed = (
        ["run=x"]
        if group in OTHERS
        else ["corpus=embedded", "destination=x"]
        if group in PREPROCESS and group != "corpus"
        else []
    )
    if group == "corpus":
        needed = ["destination=x", *CORPORA.get(choice, [])]
    value = f"[{choice}]" if group in LISTS else choice
    with hydra.initialize_config_dir(version_base="1.3", config_dir=config_dir()):
        config = typed(hydra.compose(name, [f"{group}={value}", *needed]), root)
    found = getattr(config, group)
    return found[choice] if group in LISTS else found


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_target_is_beside_its_config_and_fields_are_explained(component: str) -> None:
    group, name = component.split("/")
    cls = import_config(CATALOG[group][name])
    assert issubclass(cls, ComponentConfig)
    assert cls.__doc__ and not cls.__doc__.startswith(f"{cls.__name__}(")
    target = next(f.default for f in dataclasses.fields(cls) if f.name == "_target_")
    module, _, attribute = str(target).rpartition(".")
    assert hasattr(importlib.import_module(module), attribute)
    assert module == cls.__module__ or cls.fields_as_arguments


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_has_a_preset_of_its_name(component: str) -> None:
    assert component in PRESETS


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_composes_and_survives_being_saved(preset: str) -> None:
    config = compose(*preset.split("/"))
    saved = to_saved(config, component_name)
    assert from_saved(saved, ComponentConfig, config_class, preset) == config


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_only_what_differs(preset: str) -> None:
    group, _ = preset.split("/")
    content = yaml.safe_load((Path(config_dir()) / f"{preset}.yaml").read_text()) or {}
    parent = content.pop("defaults")[0]
    if isinstance(parent, str) and parent.startswith("schema/"):
        base: Any = OmegaConf.structured(config_class(f"{group}/{parent.split('/')[1].split('@')[0]}"))
    else:
        base = OmegaConf.structured(compose(group, str(parent).split("@")[0]))
    for key, value in flatten(content):
        assert OmegaConf.select(base, key) != value, f"{preset}: {key} restates the default"


@pytest.mark.parametrize(
    "choice",
    [f"{group}={path.stem}" for group in ("experiment", "debug") for path in Path(config_dir(), group).glob("*.yaml")],
)
def test_an_experiment_composes(choice: str) -> None:
    GlobalHydra.instance().clear()
    register("train", TrainConfig, schemas(*CATALOG))
    with hydra.initialize_config_dir(version_base="1.3", config_dir=config_dir()):
        typed(hydra.compose("train", [choice]), TrainConfig)


def flatten(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves = []
    for key, value in content.items():
        leaves += flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return leaves


def test_a_composite_of_ones_own(tmp_path: Path) -> None:
    """As the docstring of `CompositeConfig` shows it."""
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer/mine.yaml").write_text(
        "defaults: [schema/composite@_here_, schema/sgd@groups.tables.optimizer, schema/adamw@groups.rest.optimizer,"
        " /lr_scheduler/schema/constant@groups.tables.lr_scheduler, _self_]\n"
        "groups: {tables: {parameters: [embedding]}}\n"
    )
    GlobalHydra.instance().clear()
    register("train", TrainConfig, schemas(*CATALOG))
    with hydra.initialize_config_dir(version_base="1.3", config_dir=config_dir()):
        node = hydra.compose("train", ["optimizer=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    groups = typed(node, TrainConfig).optimizer.groups_of_parameters()
    assert groups["tables"].parameters == ["embedding"]
    assert [type(group.optimizer).__name__ for group in groups.values()] == ["SGDConfig", "AdamWConfig"]
    assert [type(group.lr_scheduler).__name__ for group in groups.values()] == ["ConstantConfig", "NoneType"]
