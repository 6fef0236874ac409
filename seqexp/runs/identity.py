"""The name of a run: a hash of what its result depends on, so that all who start it agree without talking."""

import hashlib
import json
from typing import Any

IRRELEVANT = (
    "run",
    "plugins",
    "trust",
    "tracker",
    "log",
    "batch.num_workers",
    "batch.fit_memory",
    "memory",
    "criterion.chunk_size",
    "validation.sanity",
    "validation.num_samples",
    "checkpoint.asynchronous",
    "checkpoint.keep_last",
    "checkpoint.continue_from",
    "checkpoint.finetune_from",
    "task.data",
)
"""Keys of the root config that cannot change what a run computes, but for rounding. Of data and checkpoints that are
read the content counts, not the place."""
RELEVANT_WITH_ROLLBACK = ("checkpoint.every", "checkpoint.keep_every_updates", "non_finite")
"""Keys that can only where a batch that is not finite sends the run back to its newest checkpoint. One that stops there
has no result, so it is the same run as one that skips the batch, and may be resumed with that policy."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


EXACT_LAYOUTS = ("distributed/single", "distributed/ddp", "distributed/zero", "distributed/fsdp")
"""Layouts that compute the same, however many processes there are, unless `communication` changes what travels."""
EXACT_COMMUNICATION = {"hook": "none", "weights": "stored", "gradients": "float32"}
IRRELEVANT_OF_LAYOUTS = ("device", "num_processes", "timeout_seconds", "alone_timeout_seconds")


FIELDS_OF_POWERSGD = ("matrix_approximation_rank", "start_update")
"""Of `communication`; another hook does not read them."""


def config_digest(saved_config: dict[str, Any], num_processes: int = 1) -> str:
    """Hash of what a result depends on of a root config, given as JSON values.

    Args:
        num_processes: that share the work, which counts with layouts that compute something else for each number.
    """
    relevant: dict[str, Any] = json.loads(json.dumps(saved_config))
    rolls_back = relevant.get("non_finite", {}).get("policy") == "rollback"
    for key in (*IRRELEVANT, *(() if rolls_back else RELEVANT_WITH_ROLLBACK)):
        *parents, last = key.split(".")
        node = relevant
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return digest({**relevant, "distributed": _relevant_of_layout(relevant.get("distributed", {}), num_processes)})


def _relevant_of_layout(saved: dict[str, Any], num_processes: int) -> dict[str, Any]:
    if saved.get("component", EXACT_LAYOUTS[0]) not in EXACT_LAYOUTS:
        options = {name: value for name, value in saved.items() if name not in IRRELEVANT_OF_LAYOUTS}
        return {**options, "num_processes": num_processes}
    communication = dict(saved.get("communication", {}))
    if communication.get("hook") != "powersgd":
        communication = {name: value for name, value in communication.items() if name not in FIELDS_OF_POWERSGD}
    return {name: value for name, value in communication.items() if EXACT_COMMUNICATION.get(name) != value}


def run_key(saved_config: dict[str, Any], data_identity: str, parent: str | None = None, num_processes: int = 1) -> str:
    """Twelve hexadecimal digits that name a run.

    Args:
        saved_config: the root config as JSON values.
        data_identity: the hash of the data's manifest.
        parent: the hash of the checkpoint that the run continues, or begins with in another way and then says so.
        num_processes: as for `config_digest`.
    """
    return digest({"config": config_digest(saved_config, num_processes), "data": data_identity, "parent": parent})[:12]
