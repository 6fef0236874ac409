"""Held-out sets with names of their own, from preprocessing to generation."""

import json
from pathlib import Path

import pytest

from .conftest import TINY, Command


def test_named_sets_are_used_by_their_names(
    tmp_path: Path, text: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare = [
        *("corpus=parallel", "corpus.source_lang=en", "corpus.target_lang=de", f"corpus.train={text / 'train'}"),
        f"corpus.valid=[{text / 'valid'},{text / 'test'}]",
        f"corpus.test={{flickr2016: {text / 'test'}, coco: {text / 'valid'}}}",
        *("subword.vocabulary_size=36", "destination=data", "num_workers=1"),
    ]
    printed, _ = command("preprocess", *prepare)
    assert [line.split()[0] for line in printed.splitlines()[1:11:2]] == [
        "train",
        "valid",
        "valid1",
        "flickr2016",
        "coco",
    ]

    wanted = ["validation.splits=[valid,valid1,coco]", "validation.final_splits=[flickr2016]"]
    train = [*TINY, "task.data=data", "stop.max_updates=2", "validation.scores=false", *wanted]
    printed, _ = command("train", *train)
    result = json.loads(Path(printed.strip().splitlines()[-1].removeprefix("result: ")).read_text())
    assert {"loss", "valid1/loss", "coco/loss"} <= result["valid"].keys()
    assert "loss" in result["flickr2016"]

    run = Path(result["checkpoint"]).parents[1]
    printed, _ = command("generate", f"run={run}", "split=flickr2016")
    generated = json.loads(Path(printed.strip().splitlines()[-1].removeprefix("result: ")).read_text())
    assert Path(generated["references"]).read_text() == (text / "test.de").read_text()
    with pytest.raises(SystemExit):
        command("generate", f"run={run}", "split=test")
