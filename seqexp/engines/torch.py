"""seqexp's own search, in torch."""

from dataclasses import dataclass

from seqexp.engines.base import Engine, EngineConfig, Trained
from seqexp.generators.base import Generator, GeneratorConfig


@dataclass
class TorchConfig(EngineConfig):
    """Every model, every search."""

    _target_: str = "seqexp.engines.torch.TorchEngine"


class TorchEngine(Engine):
    """Runs the models themselves."""

    def __init__(self, config: TorchConfig) -> None:
        self.config = config

    def generator(self, config: GeneratorConfig, trained: Trained) -> Generator:
        return trained.task.build_generator(config)
