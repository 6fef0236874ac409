"""Reads what the peer (fairseq) saved: its checkpoints' tensors under our names, and its memory-mapped data."""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_RENAMED = [
    (r"\bembed_tokens\.embeddings\.(\d+)\.0\.", r"embedding.tokens.embeddings.\1."),
    (r"\bembed_tokens\.embeddings\.(\d+)\.1\.", r"embedding.tokens.projections.\1."),
    (r"\badaptive_softmax\.head\.word_proj\.", "output_projection.words."),
    (r"\badaptive_softmax\.head\.class_proj\.", "output_projection.bands."),
    (r"\badaptive_softmax\.tail\.(\d+)\.0\.", r"output_projection.tails.\1.projection."),
    (r"\badaptive_softmax\.tail\.(\d+)\.2\.", r"output_projection.tails.\1.words."),
    (r"\bembed_tokens\.", "embedding.tokens."),
    (r"\bembed_positions\.", "embedding.positions."),
    (r"\blayernorm_embedding\.", "embedding.norm."),
    (r"\bproject_in_dim\.", "embedding.projection."),
    (r"\bproject_out_dim\.", "projection."),
    (r"\bself_attn\.", "self_attention."),
    (r"\bself_attn_layer_norm\.", "self_attention_norm."),
    (r"\bencoder_attn\.", "cross_attention."),
    (r"\bencoder_attn_layer_norm\.", "cross_attention_norm."),
    (r"\bout_proj\.", "output."),
    (r"\bfc1\.", "feed_forward.inner."),
    (r"\bfc2\.", "feed_forward.outer."),
    (r"\bfinal_layer_norm\.", "feed_forward_norm."),
    (r"^((?:en|de)coder)\.layer_norm\.", r"\1.norm."),
]


def load_peer_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint of the peer's, opened without running anything that it holds."""
    with torch.serialization.safe_globals([argparse.Namespace]):
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return loaded


def transformer_weights(peer: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of our transformer from the peer's."""
    weights = {}
    for name, tensor in _fused(peer).items():
        if name.endswith((".version", "._float_tensor")):
            continue
        for pattern, ours in _RENAMED:
            name = re.sub(pattern, ours, name)
        # The two rows of learned positions that no token uses: below and at the padding index.
        weights[name] = tensor[2:] if name.endswith("positions.weight") else tensor
    return weights


def _fused(peer: dict[str, Tensor]) -> dict[str, Tensor]:
    """Query, key and value projections in one block, as our attention has them, and the head of an adaptive softmax in
    two."""
    fused = dict(peer)
    head = fused.pop("decoder.adaptive_softmax.head.weight", None)
    if head is not None:
        num_tails = sum(bool(re.fullmatch(r"decoder\.adaptive_softmax\.tail\.\d+\.0\.weight", name)) for name in peer)
        words, bands = head[:-num_tails], head[-num_tails:]
        fused["decoder.adaptive_softmax.head.word_proj.weight"] = words
        fused["decoder.adaptive_softmax.head.class_proj.weight"] = bands
    for name in peer:
        match = re.fullmatch(r"(.*\.)(self_attn|encoder_attn)\.q_proj\.(weight|bias)", name)
        if match is None:
            continue
        prefix, kind, part = match.groups()
        query, key, value = (fused.pop(f"{prefix}{kind}.{x}_proj.{part}") for x in "qkv")
        if kind == "self_attn":
            fused[f"{prefix}self_attn.projection.{part}"] = torch.cat([query, key, value])
        else:
            fused[f"{prefix}encoder_attn.query.{part}"] = query
            fused[f"{prefix}encoder_attn.key_value.{part}"] = torch.cat([key, value])
    return fused


_DTYPES = {1: "u1", 2: "i1", 3: "<i2", 4: "<i4", 5: "<i8", 8: "<u2", 9: "<u4"}


def read_peer_data(prefix: Path) -> list[Tensor]:
    """The sentences in `prefix`.idx and .bin, each int64 [length].

    Index: 9 bytes of magic, uint64 version, uint8 dtype, uint64 number of sentences, int32 lengths, int64 offsets.
    """
    index = prefix.with_name(prefix.name + ".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\0\0"
    lengths = np.frombuffer(index, "<i4", int.from_bytes(index[18:26], "little"), 26)
    tokens = np.fromfile(prefix.with_name(prefix.name + ".bin"), _DTYPES[index[17]]).astype(np.int64)
    return [torch.from_numpy(sentence) for sentence in np.split(tokens, np.cumsum(lengths)[:-1])]
