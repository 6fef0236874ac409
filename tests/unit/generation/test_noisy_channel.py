from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from seqexp.data.batching import BatchLimits
from seqexp.data.vocabulary import Vocabulary
from seqexp.distributed.base import Device
from seqexp.generation.noisy_channel import Weights, rerank, text_log_probs
from seqexp.generators.greedy import Greedy, GreedyConfig
from seqexp.precisions.fp32 import FP32, FP32Config
from seqexp.tasks.language_modeling import LanguageModelingConfig, LanguageModelingTask
from seqexp.trained_model import ScoredText, TrainedModel
from tests.unit.generators.test_fusion import log_probs, toy_language_model
from tests.unit.generators.toy import NUM_WORDS

SENTENCES: list[dict[str, Any]] = [
    {"source": "a", "hypotheses": [{"text": "x", "token_scores": [-1.0]}, {"text": "y", "token_scores": [-1.0, -2.0]}]},
    {"source": "b", "hypotheses": []},
    {"source": "c", "hypotheses": [{"text": "z", "token_scores": [-4.0]}]},
]


@dataclass
class Channel:
    """Knows what each pair costs."""

    costs: dict[tuple[str, str], float]

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[ScoredText]:
        return [ScoredText(y, self.costs[x, y], [], []) for x, y in zip(sources, targets, strict=True)]


def ranked(model: Any, **weights: float) -> list[list[tuple[str, float]]]:
    defaults = {"direct": 1.0, "channel": 1.0, "lm": 0.0, "length_penalty": 1.0}
    found = rerank(SENTENCES, model, None, Weights(**{**defaults, **weights}))
    return [[(each["text"], each["score"]) for each in sentence["hypotheses"]] for sentence in found]


def test_the_other_direction_has_a_say() -> None:
    channel = Channel({("x", "a"): -9.0, ("y", "a"): -1.0, ("z", "c"): -2.0})
    assert ranked(channel) == [[("y", -2.0), ("x", -10.0)], [], [("z", -6.0)]]
    assert ranked(channel, channel=0.0) == [[("x", -1.0), ("y", -1.5)], [], [("z", -4.0)]]
    assert ranked(channel, direct=2.0, channel=0.5, length_penalty=0.0)[0] == [("x", -6.5), ("y", -6.5)]
    assert ranked(None) == ranked(channel, channel=0.0)


class ToyTask(LanguageModelingTask):
    """Texts are the numbers of their words."""

    def __init__(self) -> None:
        self.config = LanguageModelingConfig()
        self.vocabulary = Vocabulary()

    def indices(self, lines: Sequence[str]) -> list[Any]:
        return [[*map(int, line.split()), self.vocabulary.eos] for line in lines]


@pytest.mark.parametrize("max_tokens", [1, 4096])
def test_what_a_language_model_says_of_texts(max_tokens: int) -> None:
    model = toy_language_model()
    task = ToyTask()
    search = Greedy(GreedyConfig(), eos=2, pad=1, unk=3)
    precision = FP32(FP32Config(), device=Device.cpu.resolve())
    trained = TrainedModel(task, [model], search, precision, BatchLimits(max_tokens, None))
    texts = ["5 6 7", "", f"{NUM_WORDS - 1}", "8 8 8 8 8 9", "5 6 7"]
    expected = [float(log_probs(model, torch.tensor(tokens)).sum()) for tokens in task.indices(texts)]
    assert text_log_probs(trained, texts) == pytest.approx(expected, abs=1e-4)
    sentences = [{"source": "", "hypotheses": [{"text": text, "token_scores": [0.0]} for text in texts[:3]]}]
    found = rerank(sentences, None, trained, Weights(1.0, 1.0, 0.5, 1.0))[0]["hypotheses"]
    assert [each["score"] for each in found] == pytest.approx(sorted((x / 2 for x in expected[:3]), reverse=True))
