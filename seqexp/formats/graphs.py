"""A transformer as two graphs of operations, which other programs run: `encoder` and `decoder`.

encoder: source_tokens int64 [B, S] -> states [B, S, D], padding bool [B, S]
decoder: previous_tokens int64 [B, T], states, padding -> log_probs [B, T, V] of what follows each token

Previous tokens begin with `</s>`; padding may follow tokens but not come before them. Given a whole target the decoder
scores it; given what was generated so far, the last position tells the next token.

Shapes: B sentences, S source length, T target length, D width, V target vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from seqexp.data.batch import PairBatch
from seqexp.formats.base import Scores
from seqexp.models.base import Encoded, Seq2SeqModel
from seqexp.models.transformer import Transformer
from seqexp.runtime.errors import UserError

ENCODER_INPUTS, ENCODER_OUTPUTS = ["source_tokens"], ["states", "padding"]
DECODER_INPUTS, DECODER_OUTPUTS = ["previous_tokens", "states", "padding"], ["log_probs"]

Graph = Callable[..., tuple[Tensor, ...]]


class Encode(nn.Module):
    """The encoder alone."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.encoder = model.encoder

    def forward(self, source_tokens: Tensor) -> tuple[Tensor, Tensor]:
        encoded = self.encoder(source_tokens)
        return encoded.states, encoded.padding_mask


class Decode(nn.Module):
    """The decoder with its output projection."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.decoder = model.decoder

    def forward(self, previous_tokens: Tensor, states: Tensor, padding: Tensor) -> tuple[Tensor]:
        logits = self.decoder.output_projection(self.decoder(previous_tokens, Encoded(states, padding)))
        return (logits.log_softmax(dim=-1),)


def exported_programs(model: Seq2SeqModel, name: str) -> tuple[ExportedProgram, ExportedProgram]:
    """The two graphs with the weights, for any number of sentences and lengths up to those of the model.

    Args:
        name: of the format, for the message.

    Raises:
        UserError: the model is no transformer.
    """
    if not isinstance(model, Transformer):
        raise UserError(f"model={type(model).__name__} cannot be exported with format={name}: only a transformer can")
    if not isinstance(model.decoder.output_projection, nn.Linear):
        raise UserError(f"model.decoder.adaptive_softmax cannot be exported with format={name}")
    sentences = Dim("sentences")
    source = Dim("source_length", max=model.max_source_positions)
    target = Dim("target_length", max=model.max_target_positions)
    tokens = torch.full((2, 3), model.encoder.padding_index + 1)
    encode, decode = Encode(model).eval(), Decode(model).eval()
    with torch.no_grad():
        states, _ = encode(tokens)
        padding = torch.zeros(2, 3, dtype=torch.bool)
        encoder = torch.export.export(encode, (tokens,), dynamic_shapes=({0: sentences, 1: source},))
        decoder = torch.export.export(
            decode,
            (torch.full((2, 4), model.encoder.padding_index + 1), states, padding),
            dynamic_shapes=({0: sentences, 1: target}, {0: sentences, 1: source}, {0: sentences, 1: source}),
        )
    return encoder, decoder


def scores_of_graphs(encoder: Graph, decoder: Graph, padding_index: int) -> Scores:
    """What the two graphs make of a batch with targets, as `Format.load`."""

    def scores(batch: PairBatch) -> list[Tensor]:
        assert batch.previous_tokens is not None
        assert batch.target_tokens is not None
        states, padding = encoder(batch.source_tokens)
        (log_probs,) = decoder(batch.previous_tokens, states, padding)
        found = log_probs.gather(2, batch.target_tokens[:, :, None])[:, :, 0]
        kept = batch.target_tokens.ne(padding_index)
        return [row[mask] for row, mask in zip(found, kept, strict=True)]

    return scores
