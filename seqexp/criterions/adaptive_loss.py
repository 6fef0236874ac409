"""Cross-entropy of an adaptive softmax, without scores of bands that hold no target."""

from dataclasses import dataclass

from torch import nn

from seqexp.config.base import require
from seqexp.criterions.base import Criterion, CriterionConfig, LossOutput
from seqexp.criterions.cross_entropy import output_and_targets
from seqexp.data.batch import Batch
from seqexp.modules.adaptive import AdaptiveSoftmax


@dataclass
class AdaptiveLossConfig(CriterionConfig):
    """`cross_entropy` for a model with `adaptive_softmax.cutoffs`: the same loss in less time and memory."""

    _target_: str = "seqexp.criterions.adaptive_loss.AdaptiveLoss"


class AdaptiveLoss(Criterion):
    """The sum of -ln p(target) over the targets that are not padding.

    fairseq's criterion of this name leaves out the second word of every band but the first, taking it for padding.
    """

    def __init__(self, config: AdaptiveLossConfig, *, padding_index: int) -> None:
        super().__init__()
        self.padding_index = padding_index

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        """
        Raises:
            OptionError: the model has no adaptive softmax.
        """
        output, targets = output_and_targets(model, batch)
        projection = output.projection
        right = "the model needs adaptive_softmax.cutoffs; or take criterion=cross_entropy"
        require(isinstance(projection, AdaptiveSoftmax), "criterion", "adaptive_loss", right)
        assert isinstance(projection, AdaptiveSoftmax)
        kept = targets.ne(self.padding_index)
        loss = projection.nll(output.states.flatten(0, 1)[kept], targets[kept]).sum()
        return LossOutput(loss, batch.num_targets, {"nll_loss": loss.detach()})
