"""Every optimizer in every layout: the same result as in one process, also when it was saved and restored."""

import sys
from pathlib import Path

import pytest

from seqexp.distributed.ddp import DDPConfig
from seqexp.distributed.launch import in_processes

REFUSED = {
    "zero schedule_free": "ScheduleFree averages weights, of which each process would have a part: use "
    "distributed=ddp or fsdp"
}


def test_every_optimizer_in_every_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 64 bits, one launch; row and column means, whole matrices, norms, a composite."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    sys.modules.pop("sharded_optimizers", None)
    import sharded_optimizers

    found = in_processes(DDPConfig(num_processes=2), sharded_optimizers.compare, str(tmp_path))
    assert {name: why for name, why in found.items() if isinstance(why, str)} == REFUSED
    differences = {name: value for name, value in found.items() if name not in REFUSED}
    assert len(differences) + len(REFUSED) == 2 * 15
    assert {name: value for name, value in differences.items() if not value < 1e-9} == {}
