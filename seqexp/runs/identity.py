"""The name of a run: a hash of what its result depends on, so that all who start it agree without talking."""

import hashlib
import json
from typing import Any

IRRELEVANT = ("run", "distributed.device", "batch.num_workers", "log", "checkpoint.keep_last")
"""Keys of the root config that cannot change what a run computes."""
RELEVANT_WITH_ROLLBACK = ("checkpoint.every", "non_finite")
"""Keys that can only where a batch that is not finite sends the run back to its newest checkpoint. One that stops there
has no result, so it is the same run as one that skips the batch, and may be resumed with that policy."""


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
    irrelevant = {*IRRELEVANT, "task.data", *RELEVANT_WITH_ROLLBACK}
    for key in irrelevant.difference(RELEVANT_WITH_ROLLBACK if rolls_back else ()):
        *parents, last = key.split(".")
        node = relevant
        for parent in parents:
            node = node.get(parent, {})
        node.pop(last, None)
    return digest({"config": relevant, "data": data_identity})[:12]
