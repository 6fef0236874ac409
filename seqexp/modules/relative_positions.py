"""Positions inside of attention, which sees how far two tokens are apart; no table limits the length.

Shapes: R rows, H heads, T queries, S keys, d head width.
"""

from enum import StrEnum

import torch
from torch import Tensor

ROTARY_BASE = 10_000.0


class Relative(StrEnum):
    none = "none"
    rotary = "rotary"
    """Queries and keys are turned by angles that grow with the position (Su et al. 2021, arXiv 2104.09864)."""
    alibi = "alibi"
    """Scores fall with the distance, in each head at another rate (Press et al. 2021, arXiv 2108.12409)."""


def rotate(x: Tensor, start: int) -> Tensor:
    """Turn the pairs (i, i + d/2) of each head by position * base^(-2i/d).

    Args:
        x: queries or keys, [R, H, T, d], d even.
        start: position of the first.
    """
    half = x.shape[-1] // 2
    frequencies = ROTARY_BASE ** (-torch.arange(half, dtype=torch.float64, device=x.device) / half)
    positions = torch.arange(start, start + x.shape[-2], dtype=torch.float64, device=x.device)
    angles = positions[:, None] * frequencies
    cosines, sines = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)


def distance_bias(num_heads: int, num_queries: int, num_keys: int, like: Tensor) -> Tensor:
    """What is added to scores: -|distance| * 2^(-8h/H) for heads h = 1, ..., H; the last query is at the last key.

    Returns:
        [1, H, T, S] in the format of `like`.
    """
    slopes = 2.0 ** (-8.0 * torch.arange(1, num_heads + 1, device=like.device) / num_heads)
    keys = torch.arange(num_keys, device=like.device)
    distances = (keys[num_keys - num_queries :, None] - keys).abs()
    return (-slopes[:, None, None] * distances)[None].to(like.dtype)
