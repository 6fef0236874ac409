"""torch.export: graphs that torch runs without seqexp, from C++ too."""

import zipfile
from pathlib import Path

import torch

from seqexp.formats.base import Format, Scores, Vocabularies
from seqexp.formats.graphs import exported_programs, scores_of_graphs
from seqexp.models.base import Seq2SeqModel

NAMES = "encoder", "decoder"


class TorchFormat(Format):
    """`encoder.pt2` and `decoder.pt2`, in float32: archives of graphs in JSON and plain tensors."""

    tolerance = 1e-3
    usage = """\
import torch

encoder, decoder = (torch.export.load(f"folder/model/{name}.pt2").module() for name in ("encoder", "decoder"))
source = torch.from_numpy(text.indices(["A dog runs."]))
with torch.no_grad():
    states, padding = encoder(source)
    tokens = torch.full((len(source), 1), text.end)
    while tokens.shape[1] < 100 and not (tokens[:, 1:] == text.end).any(dim=1).all():
        (log_probs,) = decoder(tokens, states, padding)
        tokens = torch.cat([tokens, log_probs[:, -1:].argmax(dim=2)], dim=1)
for row in tokens:
    print(text.text_of_indices(row))"""

    def write(self, model: Seq2SeqModel, vocabularies: Vocabularies, directory: Path) -> None:
        for name, program in zip(NAMES, exported_programs(model, "torch"), strict=True):
            path = directory / f"{name}.pt2"
            torch.export.save(program, path)
            _empty_example(path)

    def load(self, vocabularies: Vocabularies, directory: Path) -> Scores:
        encoder, decoder = (torch.export.load(directory / f"{name}.pt2").module() for name in NAMES)
        return scores_of_graphs(encoder, decoder, vocabularies.target.pad)


def _empty_example(path: Path) -> None:
    """Take the example of inputs out of an archive: torch pickles it, and reads an empty file as none."""
    smaller = path.with_suffix(".tmp")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(smaller, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            example = "/sample_inputs/" in entry.filename
            new.writestr(entry.filename, b"" if example else old.read(entry))
    smaller.replace(path)
