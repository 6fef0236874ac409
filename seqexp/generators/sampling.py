"""Random hypotheses, drawn word by word from what the models say.

Shapes: B sentences still in the batch, n samples of each, R rows, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from seqexp.config.base import require
from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig, Candidates
from seqexp.generators.search import Search, SearchConfig, SearchState, Step
from seqexp.generators.truncation import min_p, top_k, top_p, typical
