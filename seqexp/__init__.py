"""seqexp: train, sweep and compare sequence models from composable Hydra configs."""

from seqexp.runtime.interrupts import leave_quietly_while_importing

__version__ = "0.1.0"

leave_quietly_while_importing()
