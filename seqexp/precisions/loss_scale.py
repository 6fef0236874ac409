"""A loss scale that adapts itself: raised while all goes well, lowered on overflow.

`torch.amp.GradScaler` knows neither a tolerance nor a floor.
"""

from dataclasses import dataclass
from typing import Any


@dataclass
class LossScale:
    """The factor that a loss is multiplied by before its backward pass (Micikevicius et al. 2018, arXiv 1710.03740).

    The rules are fairseq's. After every `window` updates in a row without an overflow the scale is multiplied by
    `factor`. On an overflow it is divided by it, unless overflows are less than `tolerance` of the updates, this one
    included, since the scale last changed.
    """

    initial: float
    factor: float = 2.0
    window: int = 2000
    tolerance: float = 0.0
    lower_bound: float | None = None
    """The scale is not lowered below this; None for no bound."""
    floor: float = 1e-4
    """The scale is never this low."""
    max_overflows_in_a_row: int = 100
    """One more means that a lower scale does not help."""

    def __post_init__(self) -> None:
        self.value = self.initial
        self._num_good = 0
        """Updates since the last overflow."""
        self._num_updates = 0
        """Updates since the scale last changed, overflowed ones included."""
        self._num_overflows = 0
        """Those of them that overflowed."""
        self._num_overflows_in_a_row = 0

    def succeeded(self) -> None:
        """Count an update without an overflow."""
        self._num_updates += 1
        self._num_good += 1
        self._num_overflows_in_a_row = 0
        if self._num_good % self.window == 0:
            self._change(self.value * self.factor)

    def overflowed(self) -> bool:
        """Count an overflow; False where no lower scale is left to try, and then the scale stays as it is."""
        self._num_updates += 1
        self._num_overflows += 1
        self._num_overflows_in_a_row += 1
        self._num_good = 0
        if self._num_overflows_in_a_row > self.max_overflows_in_a_row:
            return False
        if self._num_overflows / self._num_updates < self.tolerance:
            return True
        lower = self.value / self.factor
        if self.lower_bound is not None:
            lower = max(lower, self.lower_bound)
        if lower <= self.floor:
            return False
        self._change(lower)
        return True

    def _change(self, value: float) -> None:
        self.value = value
        self._num_updates = self._num_overflows = 0

    def state(self) -> dict[str, Any]:
        """Everything that changes; JSON keeps every bit of it."""
        return {name: value for name, value in vars(self).items() if name == "value" or name.startswith("_num_")}

    def load(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
