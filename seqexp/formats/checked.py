"""An exported model is compared with the one that it was made from before it gets its name."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from seqexp.data.batch import PairBatch
from seqexp.data.vocabulary import Vocabulary
from seqexp.formats.base import Format, Vocabularies
from seqexp.models.base import Seq2SeqModel
from seqexp.runtime.errors import UserError
from seqexp.runtime.rng import derive_seed

NUM_SENTENCES, LONGEST = 32, 20
"""Of `random_batch`."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported model is from the one that it was made from."""

    num_sentences: int
    num_tokens: int
    mean_difference: float
    """Mean absolute difference of the log-probabilities of target tokens, in nats."""
    largest_difference: float


def write_checked(
    form: Format, model: Seq2SeqModel, vocabularies: Vocabularies, directory: Path, batch: PairBatch
) -> Agreement:
    """Write a model's files into an empty directory, read them back and compare.

    Args:
        model: in float32, on the CPU, in evaluation mode.
        batch: with targets.

    Raises:
        UserError: the format cannot express the model, or what was written differs from it by more than the format's
            tolerance.
    """
    expected = torch.cat(own_scores(model, batch, vocabularies.target.pad))
    form.write(model, vocabularies, directory)
    found = torch.cat(form.load(vocabularies, directory)(batch)).detach()
    differences = (found - expected).abs()
    mean, largest = float(differences.mean()), float(differences.max())
    if not mean <= form.tolerance:  # NaN too
        raise UserError(
            f"what was exported is not the model: log-probabilities of {len(found)} tokens differ by {mean:.2g} in the "
            f"mean, more than {form.tolerance:g}"
        )
    return Agreement(batch.num_sentences, len(found), mean, largest)


@torch.no_grad()
def own_scores(model: Seq2SeqModel, batch: PairBatch, padding_index: int) -> list[Tensor]:
    """What the model itself makes of a batch with targets, as `Format.load`."""
    assert batch.target_tokens is not None
    log_probs = model(batch).logits.float().log_softmax(dim=2)
    found = log_probs.gather(2, batch.target_tokens[:, :, None])[:, :, 0]
    kept = batch.target_tokens.ne(padding_index)
    return [row[mask] for row, mask in zip(found, kept, strict=True)]


def random_batch(vocabularies: Vocabularies, model: Seq2SeqModel) -> PairBatch:
    """Sentence pairs of random tokens and lengths, always the same, to compare models where there is no data."""
    random = torch.Generator().manual_seed(derive_seed(0))

    def sentences(vocabulary: Vocabulary, longest: int) -> list[Tensor]:
        lengths = torch.randint(0, min(LONGEST, longest - 1) + 1, (NUM_SENTENCES,), generator=random)
        first, size = vocabulary.num_specials, len(vocabulary)
        tokens = (torch.randint(first, size, (length,), generator=random) for length in lengths.tolist())
        return [torch.cat([each, torch.tensor([vocabulary.eos])]) for each in tokens]

    sources = sentences(vocabularies.source, model.max_source_positions)
    targets = sentences(vocabularies.target, model.max_target_positions)
    previous = [target.roll(1) for target in targets]
    source_tokens, previous_tokens, target_tokens = (
        torch.nn.utils.rnn.pad_sequence(each, batch_first=True, padding_value=vocabulary.pad)
        for each, vocabulary in (
            (sources, vocabularies.source),
            (previous, vocabularies.target),
            (targets, vocabularies.target),
        )
    )
    return PairBatch(
        indices=torch.arange(NUM_SENTENCES),
        num_targets=sum(map(len, targets)),
        source_tokens=source_tokens,
        source_lengths=torch.tensor([len(source) for source in sources]),
        previous_tokens=previous_tokens,
        target_tokens=target_tokens,
    )
