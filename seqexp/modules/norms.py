"""Normalisation of states, by name."""

from enum import StrEnum

from torch import nn

EPSILON = 1e-5


class Norm(StrEnum):
    layer = "layer"
    """LayerNorm (Ba et al. 2016, arXiv 1607.06450)."""
    rms = "rms"
    """RMSNorm, without mean and bias (Zhang and Sennrich 2019, arXiv 1910.07467)."""


def make_norm(norm: Norm, size: int) -> nn.Module:
    """What normalises the last dimension, of that size."""
    return nn.LayerNorm(size, EPSILON) if norm is Norm.layer else nn.RMSNorm(size, EPSILON)
