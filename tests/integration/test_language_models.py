"""A language model from raw text to what it makes of other text, by the commands that a user types."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Command
from .test_pipeline import read_result
from .test_runs import failing

OPTIONS = [
    *("task=language_modeling", "model=transformer_lm", "task.data=data", "task.tokens_per_sample=16"),
    *("model.num_layers=1", "model.hidden_size=16", "model.ffn_size=16", "model.num_heads=2", "tracker=[]"),
    *("criterion=cross_entropy", "stop.max_updates=30", "batch.max_tokens=200", "lr_scheduler.warmup_updates=5"),
    *("optimizer.lr=0.01", "validation.every.updates=15", "generator.max_length_b=4"),
]


@pytest.fixture(scope="module")
def folder(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With raw text, data of it, and a run."""
    folder = tmp_path_factory.mktemp("lm")
    for split in ("train", "valid", "test"):
        (folder / split).write_text((text / f"{split}.en").read_text())
    files = [f"corpus.{split}={split}" for split in ("train", "valid", "test")]
    prepare = ["corpus=text", "corpus.language=en", *files, "subword.vocabulary_size=24", "destination=data"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, arguments in (
            ("preprocess", [*prepare, "num_workers=1"]),
            ("train", [*OPTIONS, "run.dir=run"]),
        ):
            patch.setattr(sys, "argv", [name, *arguments])
            module: Any = __import__(f"seqexp.{name}", fromlist=["cli"])
            module.cli()
    return folder


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return Path("run")


def evaluated(command: Command, *arguments: str) -> dict[str, Any]:
    return read_result(command("eval_lm", *arguments)[0])


def test_one_perplexity_in_training_validate_and_eval_lm(run: Path, command: Command) -> None:
    trained = json.loads((run / "result.json").read_text())["test"]
    assert "bleu" not in trained
    found = evaluated(command, "run=run")
    assert found["perplexity"] == pytest.approx(trained["perplexity"], rel=1e-5)
    assert found["bits_per_token"] == pytest.approx(trained["nll_loss"] / math.log(2), rel=1e-5)
    validated = read_result(command("validate", "run=run", "splits=[test]")[0])["test"]
    assert validated["perplexity"] == pytest.approx(found["perplexity"], rel=1e-5)
    words = (Path("test").read_text().replace("\n", " </s> ")).split()
    assert found["words"] == len(words)
    total = found["bits_per_token"] * found["tokens"]
    assert found["bits_per_word"] * found["words"] == pytest.approx(total)
    assert found["bits_per_character"] * len(Path("test").read_text()) == pytest.approx(total)
    # A file of the same text, and an ensemble of twice the same model, give the same.
    for other in (["run=run", "input=test"], ["run=[run,run]"]):
        assert evaluated(command, *other)["perplexity"] == pytest.approx(found["perplexity"], rel=1e-5)


def test_the_context_window(run: Path, command: Command) -> None:
    """Each token has what stands before it as its past, as far as the window reaches back at least."""
    import torch

    from seqexp.pretrained import load_model
    from seqexp.tasks.language_modeling import LanguageModelingTask

    found = evaluated(command, "run=run", "context_window=6", "tokens_per_sample=10")
    loaded = load_model("run")
    assert isinstance(loaded.task, LanguageModelingTask)
    tokens = np.concatenate([[2], *loaded.task.indices(Path("test").read_text().splitlines())])
    (model,), total = loaded.models, 0.0
    for start in range(0, len(tokens) - 1, 4):
        end = min(start + 4, len(tokens) - 1)
        first = max(start - 6, 0)
        window = torch.from_numpy(tokens[first : end + 1])[None]
        with torch.no_grad():
            log_probs = model.decode(window[:, :-1]).logits.log_softmax(dim=-1)  # type: ignore[operator]
        total -= float(log_probs.gather(2, window[:, 1:, None])[0, start - first :].sum())
    assert found["tokens"] == len(tokens) - 1
    assert found["loss"] == pytest.approx(total / found["tokens"], rel=1e-5)
    assert found["loss"] != pytest.approx(evaluated(command, "run=run")["loss"], rel=1e-5)


def test_every_word(run: Path, command: Command) -> None:
    found = evaluated(command, "run=run", "words=true", "blocks=eos", "output=words")
    lines = [json.loads(line) for line in Path("words/words.jsonl").read_text().splitlines()]
    raw = Path("test").read_text().splitlines()
    assert [[word for word, _ in line["words"]] for line in lines] == [[*line.split(), "</s>"] for line in raw]
    total = sum(log_prob for line in lines for _, log_prob in line["words"])
    assert -total / found["tokens"] == pytest.approx(found["loss"], rel=1e-4)
    head, *rows = [row.split("\t") for row in Path("words/words.tsv").read_text().splitlines()]
    assert head[:3] == ["word", "count", "log_prob"]
    assert sum(int(row[1]) for row in rows) == found["words"]
    assert rows[0][:2] == ["</s>", str(len(raw))]


def test_the_model_goes_on_with_prompts(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("prompts").write_text("one two\n\nthree\n")
    found = read_result(command("generate", "run=run", "input=prompts", "generator.nbest=2")[0])
    lines = [json.loads(line) for line in Path(found["hypotheses"]).with_suffix(".jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["one two", "", "three"]
    for line in lines:
        assert len(line["hypotheses"]) == 2
        for hypothesis in line["hypotheses"]:
            assert hypothesis["text"].startswith(line["source"])
            assert hypothesis["text"] != line["source"]
            assert hypothesis["tokens"][-1] == "</s>"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two\n")))
    assert command("interactive", "run=run")[0].strip() == lines[0]["hypotheses"][0]["text"]


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("generate", [], "split=test: a language model goes on with lines of text; give them with input=FILE"),
        ("interactive", ["replace_unknown=copy"], "replace_unknown=copy: a language model has no source to take words"),
        ("eval_lm", ["split=dev"], "data: no split 'dev', only train, valid, test"),
        ("eval_lm", ["input=empty"], "empty: there is no text"),
        ("eval_lm", ["input=nowhere"], "input=nowhere"),
        ("eval_lm", ["tokens_per_sample=2000"], "tokens_per_sample=2000 is not valid: the model takes 1024 tokens at"),
        ("eval_lm", ["context_window=16"], "context_window=16 is not valid: less than the 16 tokens of a sequence"),
        ("eval_lm", ["context_window=-1"], "context_window=-1 is not valid: a count from 0"),
        (
            "eval_lm",
            ["context_window=4", "blocks=complete_doc"],
            "context_window=4 is not valid: with blocks=complete_doc there is none before a document",
        ),
    ],
)
def test_mistakes(
    run: Path, command: Command, capsys: pytest.CaptureFixture[str], name: str, arguments: list[str], line: str
) -> None:
    Path("empty").touch()
    before = set(Path().rglob("*"))
    status, printed = failing(command, capsys, name, "run=run", *arguments)
    assert status == 2
    assert printed.splitlines()[-1].startswith(f"error: {line}")
    assert "Traceback" not in printed
    assert set(Path().rglob("*")) == before


def test_a_run_with_crops_is_gone_on_with(run: Path, command: Command) -> None:
    """What is drawn in an epoch depends on nothing else, so the end is the same."""
    options = [option for option in OPTIONS if not option.startswith(("lr_scheduler", "task.tokens"))]
    options += ["task.blocks=eos", "task.shorten=random_crop", "task.tokens_per_sample=6", "lr_scheduler=constant"]
    whole = read_result(command("train", *options, "run.dir=whole")[0])
    half = read_result(command("train", *options, "stop.max_updates=10", "run.dir=half")[0])
    rest = [*options, "run.dir=rest", f"checkpoint.continue_from={half['checkpoint']}"]
    assert read_result(command("train", *rest)[0])["valid"] == whole["valid"]
