"""From raw text to a trained, scored model, by the commands that a user types."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import TINY, Command


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read_result(printed: str) -> dict[str, Any]:
    """The result file that the last line names."""
    last = printed.strip().splitlines()[-1]
    assert last.startswith("result: ")
    result: dict[str, Any] = json.loads(Path(last.removeprefix("result: ")).read_text())
    return result


def test_raw_text_to_scores(in_folder: Path, text: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    prefixes = [f"corpus.{split}={text / split}" for split in ("train", "valid", "test")]
    languages = ["corpus.source_lang=en", "corpus.target_lang=de"]
    options = ["subword.vocabulary_size=36", "destination=data-bin/numbers", "num_workers=1"]
    printed, _ = command("preprocess", "corpus=parallel", *languages, *prefixes, *options)
    assert read_result(printed)["splits"]["train"]["num_examples"] == 300

    train = [
        *TINY,
        "task.data=data-bin/numbers",
        "stop.max_epochs=25",
        "name=numbers",
        "validation.every.epochs=5",
        "checkpoint.metric=bleu",
    ]
    printed, messages = command("train", *train)
    result = read_result(printed)
    assert result["status"] == "finished"
    assert result["valid"]["bleu"] > 50
    assert "stop.max_epochs=25" in messages
    run = Path(printed.strip().splitlines()[-1].removeprefix("result: ")).parent

    printed, _ = command("generate", f"run={run}", "split=test")
    generated = read_result(printed)
    # one number: in training, in generate, by the score command and from sacrebleu's own command line
    bleu = generated["scores"]["bleu"]
    assert bleu["score"] == result["test"]["bleu"]
    assert bleu["signature"] == result["signatures"]["bleu"]
    printed, _ = command("score", f"hypotheses={generated['hypotheses']}", f"references={generated['references']}")
    assert read_result(printed)["scores"]["bleu"] == bleu
    assert set(read_result(printed)["scores"]) == {"bleu", "chrf", "ter"}
    sacrebleu = [
        sys.executable,
        "-m",
        "sacrebleu",
        generated["references"],
        "-i",
        generated["hypotheses"],
        "-w",
        "10",
        "-b",
    ]
    shown = subprocess.run(sacrebleu, capture_output=True, text=True, check=True).stdout
    assert float(shown) == pytest.approx(bleu["score"], abs=1e-9)

    lines = [json.loads(line) for line in Path(generated["hypotheses"]).with_suffix(".jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == list(range(15))
    assert [line["source"] for line in lines] == (text / "test.en").read_text().splitlines()
    best = [line["hypotheses"][0]["text"] for line in lines]
    assert best == Path(generated["hypotheses"]).read_text().splitlines()

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two three.\n")))
    printed, _ = command("interactive", f"run={run}")
    assert printed == "eins zwei drei.\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert command("interactive", f"run={run}") == ("", "")


def test_a_finished_run_says_so(in_folder: Path, data: Path, command: Command) -> None:
    arguments = [*TINY, f"task.data={data}", "stop.max_updates=3", "validation.scores=false"]
    run = read_result(command("train", *arguments)[0])["checkpoint"]
    printed, _ = command("train", *arguments)
    assert "finished already" in printed
    again = read_result(command("train", *arguments, "run.rerun=true")[0])["checkpoint"]
    assert Path(again).parents[1] == Path(f"{Path(run).parents[1]}-2")


def test_without_data_the_embedded_corpus_is_made(in_folder: Path, command: Command) -> None:
    result = read_result(command("train", "debug=short", "validation.scores=false")[0])
    assert result["updates"] == 2
    made = list(Path("data-bin/embedded").iterdir())
    assert len(made) == 1
    assert (made[0] / "raw/test.de").exists()


def test_a_directory_belongs_to_one_run(in_folder: Path, data: Path, command: Command) -> None:
    arguments = [*TINY, f"task.data={data}", "stop.max_updates=2", "validation.scores=false", "run.dir=mine"]
    command("train", *arguments)
    with pytest.raises(SystemExit):
        command("train", *arguments, "seed=2")


def test_a_config_that_does_not_work_leaves_nothing(in_folder: Path, data: Path, command: Command) -> None:
    for wrong in ("model.encoder.hidden_size=64", "batch.max_tokens=5", "lr_scheduler.period_updates=0"):
        with pytest.raises(SystemExit):
            command("train", *TINY, f"task.data={data}", wrong)
    assert list(in_folder.iterdir()) == []


def test_sampling_that_the_data_cannot_give_is_refused(
    in_folder: Path, data: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command("train", *TINY, f"task.data={data}", "task.sampling.dropout=0.1")
    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: task.sampling.dropout=0.1: the stages of the")
    assert list(in_folder.iterdir()) == []


def test_raw_text_only_from_preprocess_to_scores(in_folder: Path, text: Path, command: Command) -> None:
    prefixes = [f"corpus.{split}={text / split}" for split in ("train", "valid", "test")]
    languages = ["corpus.source_lang=en", "corpus.target_lang=de"]
    options = ["subword=subword_nmt", "subword.num_operations=20", "stores=false", "destination=lean", "num_workers=1"]
    command("preprocess", "corpus=parallel", *languages, *prefixes, *options)
    assert not list(Path("lean").glob("*.bin"))
    train = [*TINY, "task.data=lean", "stop.max_updates=4", "task.sampling.dropout=0.2", "validation.scores=false"]
    result = read_result(command("train", *train)[0])
    assert result["epochs"] >= 0
    run = Path(result["checkpoint"]).parents[1]
    assert read_result(command("generate", f"run={run}", "split=test")[0])["sentences"] == 15


def test_the_data_serves_both_directions(in_folder: Path, data: Path, command: Command) -> None:
    arguments = [*TINY, f"task.data={data}", "stop.max_updates=2", "validation.scores=false"]
    result = read_result(command("train", *arguments, "task.source_lang=de", "task.target_lang=en")[0])
    run = Path(result["checkpoint"]).parents[1]
    generated = read_result(command("generate", f"run={run}", "split=valid")[0])
    assert Path(generated["references"]).read_text() == (data / "raw/valid.en").read_text()


def test_a_sweep_runs_every_job(in_folder: Path, data: Path, command: Command) -> None:
    arguments = [*TINY, f"task.data={data}", "stop.max_updates=2", "validation.scores=false", "name=sweep"]
    command("train", "--multirun", *arguments, "seed=1,2", "optimizer.lr=0.01,0.02")
    assert len(list(Path("outputs/sweep").iterdir())) == 4


def test_the_checkpoint_suffices_to_translate(in_folder: Path, data: Path, command: Command) -> None:
    """Text goes in and comes out without the data directory and without the run."""
    from seqexp.pretrained import load_model

    arguments = [*TINY, f"task.data={data}", "stop.max_updates=2", "validation.scores=false"]
    checkpoint = Path(read_result(command("train", *arguments)[0])["checkpoint"]).rename(in_folder / "alone")
    first, second = load_model(checkpoint).nbest(["one", "two three"])
    assert len(first) == len(second) == 1
    assert isinstance(load_model(checkpoint, checkpoint).translate(["one"])[0], str)


@pytest.mark.parametrize(
    "name", ["train", "preprocess", "generate", "validate", "eval_lm", "interactive", "score", "rerank", "runs", "sync"]
)
def test_help_and_config_of_every_command(command: Command, name: str) -> None:
    printed, _ = command(name, "--help")
    assert f"python -m seqexp.{name}" in printed or name == "interactive"
    printed, _ = command(name, "--cfg", "job")
    assert "plugins: []" in printed
    assert "hydra" not in printed
