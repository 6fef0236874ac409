"""What all tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seqexp.catalog import CATALOG

ROOT = Path(__file__).parents[1]

# Two threads on busy cores are several times slower than one; worker processes inherit this.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that ran in this process leaves its messages' handler to no other test."""
    logger = logging.getLogger("seqexp")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.fixture(autouse=True)
def catalog_as_it_was() -> Iterator[None]:
    """Plug-ins of a test are unknown to the others."""
    before = {group: dict(components) for group, components in CATALOG.items()}
    yield
    for group, components in before.items():
        CATALOG[group].clear()
        CATALOG[group].update(components)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data; a test that asks for it is skipped where there is none."""
    path = Path(os.environ.get("SEQEXP_SHARED", ROOT.parent / "shared"))
    if not (path / "golden").is_dir():
        pytest.skip(f"no reference data at {path}; set SEQEXP_SHARED")
    return path
