"""One process."""

from dataclasses import dataclass

from seqexp.distributed.base import DistributedConfig, Layout


@dataclass
class SingleConfig(DistributedConfig):
    """All the work in one process."""

    _target_: str = "seqexp.distributed.single.Single"


class Single(Layout):
    """The base as it stands."""
