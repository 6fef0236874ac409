import pytest
import torch

from seqexp.data.batch import TextBatch
from seqexp.generators import scoring
from seqexp.generators.scoring import target_log_probs
from seqexp.models.transformer_decoder import AdaptiveSoftmaxConfig
from seqexp.models.transformer_lm import TransformerLM, TransformerLMConfig

PAD, NUM_WORDS = 1, 20
BATCH = TextBatch(torch.arange(2), 5, torch.tensor([[2, 5, 6], [2, 19, PAD]]), torch.tensor([[5, 6, 2], [19, 12, PAD]]))


def model(seed: int, cutoffs: list[int]) -> TransformerLM:
    torch.manual_seed(seed)
    config = TransformerLMConfig(
        num_layers=1,
        hidden_size=8,
        ffn_size=8,
        num_heads=1,
        share_embeddings=False,
        adaptive_softmax=AdaptiveSoftmaxConfig(cutoffs, 2),
    )
    return TransformerLM(config, vocabulary_size=NUM_WORDS, padding_index=PAD).eval()


@pytest.mark.parametrize("cutoffs", [[], [8]])
@pytest.mark.parametrize("at_once", [2, 1024])
def test_of_one_and_of_several(cutoffs: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "TARGETS_AT_ONCE", at_once)
    models = [model(seed, cutoffs) for seed in (1, 2)]
    targets = BATCH.target_tokens
    assert targets is not None
    each = [m(BATCH).logits.log_softmax(dim=-1).gather(2, targets[..., None])[..., 0][targets != PAD] for m in models]
    torch.testing.assert_close(target_log_probs(models[:1], BATCH, targets, PAD), each[0])
    mean = torch.stack(each).exp().mean(dim=0).log()
    torch.testing.assert_close(target_log_probs(models, BATCH, targets, PAD), mean)
