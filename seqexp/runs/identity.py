"""The name of a run: a hash of what its result depends on, so that all who start it agree without talking."""

import hashlib
import json
from typing import Any

IRRELEVANT = ("run", "distributed.device", "batch.num_workers", "log", "checkpoint.every", "checkpoint.keep_last")
"""Keys of the root config that cannot change what a run computes."""
ROLLBACK_NEEDS = "checkpoint.every"
"""The one of them that does where a rollback goes to the newest checkpoint."""


def digest(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def run_key(saved_config: dict[str, Any], data_identity: str) -> str:
    """Twelve hexadecimal digits that name a run.

    Args:
        saved_config: the root config as JSON values. Where the data lies does not count; what is in it does.
        data_identity: the hash of the data's manifest.
    """
    relevant: dict[str, Any] = json.loads(json.dumps(saved_config))
    rolls_back = relevant.get("non_finite", {}).get("policy") == "rollback"
    for key in (*IRRELEVANT, "task.data"):
        if rolls_back and key == ROLLBACK_NEEDS:
            continue
        *parents, last = key.split(".")
        node = relevant
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return digest({"config": relevant, "data": data_identity})[:12]
