"""`python -m seqexp.preprocess`: make a data directory from raw text."""

from pathlib import Path

from seqexp.catalog import CATALOG, schemas
from seqexp.config.command import run
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.runtime.logs import show_messages


def main(config: PrepareConfig) -> None:
    show_messages()
    prepared = prepare(config, CATALOG)
    print(prepared.summary())
    made = "prepared" if prepared.is_new else "already prepared from the same text and options"
    print(f"{made}: {Path(prepared.directory)}")


def cli() -> None:
    run("preprocess", PrepareConfig, main, schemas("corpus", "tokenizer", "subword"))


if __name__ == "__main__":
    cli()
