"""seqexp: train, sweep and compare sequence models from composable Hydra configs."""

__version__ = "0.1.0"
