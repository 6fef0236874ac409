"""The lines that generate writes with format=fairseq are those that the peer (fairseq 0.12.3) wrote, of one model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seqexp.data.vocabulary import Vocabulary
from seqexp.generation.formats import fairseq_lines
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from tests.goldens.peer_cases import EOS, MULTI30K, PAD, UNK, load, pair_batch
from tests.goldens.peer_weights import read_peer_data

NUM_SENTENCES = 20


def test_lines_of_hypotheses(shared: Path) -> None:
    folder = shared / "golden" / "multi30k_tiny"
    model = load(MULTI30K, folder)
    sources = read_peer_data(folder / "data-bin" / "test.en-de.en")[:NUM_SENTENCES]
    search = BeamSearch(BeamSearchConfig(), eos=EOS, pad=PAD, unk=UNK)
    vocabulary = Vocabulary.load(folder / "data-bin" / "dict.de.txt")
    sentences = [
        {
            "id": number,
            "source": "",
            "hypotheses": [
                {
                    "text": "",
                    "score": hypothesis.score,
                    "tokens": [vocabulary[index] for index in hypothesis.tokens.tolist()],
                    "token_scores": hypothesis.positional_scores.tolist(),
                }
                for hypothesis in nbest
            ],
        }
        for number, nbest in enumerate(search.generate([model], pair_batch(sources, list(range(len(sources))))))
    ]
    task: Any = SimpleNamespace(joined=joined, source_as_read=str, target_as_read=str)
    kinds = ("H-", "P-")
    ours = [line for line in fairseq_lines(task, sentences) if line.startswith(kinds)]
    expected = (folder / "fairseq_beam5.txt").read_text(encoding="utf-8").splitlines()[: 2 * NUM_SENTENCES]
    for line, peer in zip(ours, expected, strict=True):
        name, *values = line.split("\t")
        expected_name, *expected_values = peer.split("\t")
        assert name == expected_name
        if name.startswith("H-"):
            assert values[1] == expected_values[1]
            assert float(values[0]) == pytest.approx(float(expected_values[0]), abs=1e-5)
            assert len(values[0]) == pytest.approx(len(expected_values[0]), abs=4)  # 32 bits in all their digits
        else:
            numbers, peers = values[0].split(), expected_values[0].split()
            assert all(len(x.partition(".")[2]) == 4 for x in numbers)
            assert [float(x) for x in numbers] == pytest.approx([float(x) for x in peers], abs=1.5e-4)


def joined(symbols: list[str]) -> str:
    """SentencePiece undone, which is all that the peer did."""
    return "".join(symbol for symbol in symbols if symbol != "</s>").replace("▁", " ").strip()
