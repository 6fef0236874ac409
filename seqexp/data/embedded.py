"""The corpus that seqexp brings along, prepared."""

import time
from pathlib import Path

from seqexp.corpora.embedded import GRAMMAR_VERSION, EmbeddedCorpusConfig
from seqexp.data.manifest import MANIFEST
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.data.stages import Catalog
from seqexp.runs.lease import LeaseHeldError
from seqexp.tokenizers.sentencepiece import SentencePieceConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig

SECONDS_TO_WAIT = 1.0


def embedded_data(destination: Path, components: Catalog) -> Path:
    """The data directory of the embedded corpus, below `destination`; it is made where it is not there yet.

    Several runs that start at once share it: one makes it, the others wait.
    """
    directory = destination / f"grammar-{GRAMMAR_VERSION}"
    if (directory / MANIFEST).exists():
        return directory
    config = PrepareConfig(
        corpus=EmbeddedCorpusConfig(),
        tokenizer=WhitespaceConfig(),
        subword=SentencePieceConfig(vocabulary_size=2000),
        destination=str(directory),
    )
    while True:
        try:
            return prepare(config, components).directory
        except LeaseHeldError:
            time.sleep(SECONDS_TO_WAIT)
