"""Language models and adaptive softmaxes that the peer (fairseq 0.12.3) trained give here what they gave there."""

from pathlib import Path

import pytest
import torch

from seqexp.criterions.adaptive_loss import AdaptiveLoss, AdaptiveLossConfig
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from tests.goldens.peer_lm_cases import (
    CONFIGS,
    PAD,
    Case,
    compared_log_probs,
    has_bands,
    left_out_by_the_peer,
    load_case,
)


@pytest.fixture(scope="module", params=CONFIGS)
def case(request: pytest.FixtureRequest, shared: Path) -> Case:
    return load_case(shared / "golden", request.param)


def test_log_probs(case: Case) -> None:
    torch.testing.assert_close(*compared_log_probs(case), atol=1e-4, rtol=0)


def test_loss(case: Case) -> None:
    found = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(case.model, case.batch)
    expected = case.expected["criterion"]
    assert found.num_targets == expected["sample_size"]
    assert found.sum.item() - left_out_by_the_peer(case) == pytest.approx(expected["loss"], abs=1e-2)


def test_adaptive_loss(case: Case) -> None:
    criterion = AdaptiveLoss(AdaptiveLossConfig(), padding_index=PAD)
    if not has_bands(case):
        with pytest.raises(ValueError, match=r"criterion=adaptive_loss .* adaptive_softmax.cutoffs"):
            criterion(case.model, case.batch)
        return
    expected = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)(case.model, case.batch)
    assert criterion(case.model, case.batch).sum.item() == pytest.approx(expected.sum.item(), rel=1e-5)
