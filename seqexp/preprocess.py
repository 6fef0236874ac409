"""`python -m seqexp.preprocess`: make a data directory from raw text."""

from seqexp.catalog import CATALOG
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.plugins import run
from seqexp.runtime.files import write_json
from seqexp.runtime.logs import show_messages


def main(config: PrepareConfig) -> None:
    show_messages()
    prepared = prepare(config, CATALOG)
    print(prepared.summary())
    if not prepared.is_new:
        print(f"{prepared.directory} was prepared before, from the same text and options")
    result = prepared.directory / "result.json"
    identity = prepared.manifest.identity()
    write_json(result, {"status": "finished", "identity": identity, **prepared.figures})
    print(f"result: {result}")


def cli() -> None:
    run("preprocess", PrepareConfig, main, ["corpus", "tokenizer", "subword"])


if __name__ == "__main__":
    cli()
