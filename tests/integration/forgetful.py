"""A plug-in whose criterion has a state that no checkpoint holds."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from seqexp.criterions.base import LossOutput
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig

CATALOG = {"criterion": {"forgetful": "forgetful:ForgetfulConfig"}}


@dataclass
class ForgetfulConfig(CrossEntropyConfig):
    """No options."""

    _target_: str = "forgetful.Forgetful"


class Forgetful(CrossEntropy):
    """Cross-entropy times the number of times that it was computed by this process."""

    num_calls = 0

    def forward(self, model: nn.Module, batch: Any) -> LossOutput:
        self.num_calls += 1
        output = super().forward(model, batch)
        return LossOutput(output.sum * self.num_calls, output.num_targets, output.metrics)
