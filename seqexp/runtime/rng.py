"""Random numbers that depend on what they are for, not on what was drawn before."""

import numpy as np


def derive_seed(*parts: int) -> int:
    """A 63-bit seed from whole numbers such as (seed, update, micro-batch); different parts give unrelated seeds."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> 1)
