"""The only door from a config to the object it describes."""

import dataclasses
from enum import Enum
from typing import Any

from hydra.errors import HydraException
from hydra.utils import instantiate

from seqexp.config.base import ComponentConfig
from seqexp.runtime.errors import UserError


def build(config: ComponentConfig, **runtime: Any) -> Any:
    """Make the object that `config` describes.

    Args:
        config: a component's config; its `_target_` is resolved by Hydra's `instantiate`.
        runtime: live objects (vocabularies, parameters, ...), which never pass through Hydra.

    Raises:
        UserError: the component refuses its options.
    """
    try:
        factory = instantiate({"_target_": config._target_, "_partial_": True}, _recursive_=False)
    except HydraException as error:
        cause = error.__cause__ or error
        raise UserError(f"_target_={config._target_} cannot be found: {str(cause).splitlines()[0]}") from error
    try:
        if config.fields_as_arguments:
            return factory(**runtime, **arguments(config))
        return factory(config, **runtime)
    except ValueError as error:
        raise UserError(str(error)) from error


def arguments(config: ComponentConfig) -> dict[str, Any]:
    """The fields of a library component's config as the keyword arguments of its class; choices as plain text."""
    left_out = {"_target_", *config.other_fields}
    values = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in left_out}
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}
