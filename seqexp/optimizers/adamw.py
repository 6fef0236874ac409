"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019), torch's implementation."""

from dataclasses import dataclass

from seqexp.optimizers.adam import AdamConfig


@dataclass
class AdamWConfig(AdamConfig):
    """Adam whose weight decay shrinks the weights by lr * weight_decay before the step."""

    _target_: str = "torch.optim.AdamW"
    weight_decay: float = 0.01
