"""32-bit floating point."""

from dataclasses import dataclass

from seqexp.precisions.base import Precision, PrecisionConfig


@dataclass
class FP32Config(PrecisionConfig):
    """Everything in 32-bit floating point."""

    _target_: str = "seqexp.precisions.fp32.FP32"


class FP32(Precision):
    """The base as it stands."""
