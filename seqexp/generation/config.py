"""What the commands that translate have in common: which model, how it searches, and where."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import require
from seqexp.config.command import overridden_fields
from seqexp.engines.base import EngineConfig
from seqexp.generation.formats import Alignment
from seqexp.generators.attention import attending
from seqexp.generators.base import GeneratorConfig
from seqexp.models.kept_dropout import KeptDropout
from seqexp.pretrained import TrainedModel, TrainedModelConfig, run_generator


@dataclass
class TranslatingConfig(TrainedModelConfig):
    """Base of the configs of `generate` and `interactive`."""

    generator: GeneratorConfig = MISSING
    """The run's own generator, with what the command line changes."""
    engine: EngineConfig = MISSING
    """What computes the search."""
    keep_dropout: Any = field(default_factory=list)
    """Modules whose dropout stays as in training, by patterns of their names such as `[decoder.*]`; true: all."""
    dropout_seed: int = 1
    """What that dropout drops follows from this, and from the sentences of a batch."""
    replace_unknown: str | None = None
    """What stands in place of each `<unk>`: with `copy` the token of the source that it attends to most; with a file of
    two columns, tokens of the source and of the target, what that says of it, or else the token itself."""
    alignment: Alignment | None = None
    """With format=fairseq, what A- lines say; null: `hard`, if `generator.return_attention=true`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.keep_dropout = self.dropout().patterns

    def dropout(self) -> KeptDropout:
        return KeptDropout.of(self.keep_dropout, self.dropout_seed)

    def require_lines(self, format: str) -> None:
        """
        Raises:
            OptionError: an alignment is asked for, and the format of the output has none.
        """
        value = self.alignment and self.alignment.value
        require(value is None or format == "fairseq", "alignment", value, "it needs format=fairseq")

    def complete(self) -> None:
        """Take over the generator that the run was validated with, for what the command line leaves as it is."""
        overridden = overridden_fields("generator")
        self.generator = run_generator(self.run[0], self.checkpoint, self.generator, overridden, self.trust)
        if self.alignment is not None:
            self.generator = attending(self.generator, f"alignment={self.alignment.value}")

    def load(self, **options: Any) -> TrainedModel:
        return super().load(
            generator=self.generator,
            engine=self.engine,
            keep_dropout=self.keep_dropout,
            dropout_seed=self.dropout_seed,
            replace_unknown=self.replace_unknown,
            **options,
        )
