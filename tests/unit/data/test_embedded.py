from collections.abc import Mapping
from pathlib import Path

import pytest

from seqexp.corpora.embedded import EmbeddedCorpusConfig
from seqexp.data import embedded
from seqexp.data.workspace import Workspace
from seqexp.tokenizers.whitespace import WhitespaceConfig


def test_runs_that_start_at_once_wait_for_the_one_that_makes_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, catalog: Mapping[str, Mapping[str, str]]
) -> None:
    directory = tmp_path / f"grammar-{embedded.GRAMMAR_VERSION}"
    owner = Workspace(directory)
    small = EmbeddedCorpusConfig(num_train=30, num_valid=5, num_test=6)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        owner.__exit__(None, None, None)

    monkeypatch.setattr(embedded.time, "sleep", wait)
    monkeypatch.setattr(embedded, "EmbeddedCorpusConfig", lambda: small)
    monkeypatch.setattr(embedded, "SentencePieceConfig", lambda vocabulary_size: WhitespaceConfig())
    owner.__enter__()
    assert embedded.embedded_data(tmp_path, catalog) == directory
    assert (directory / "manifest.json").exists()
    assert len(waits) == 1
    assert embedded.embedded_data(tmp_path, catalog) == directory
