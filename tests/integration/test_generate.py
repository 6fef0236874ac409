"""Generate and interactive: the same translations whoever shares the work and however often it is interrupted."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp.generate import GenerateConfig, refuse_what_is_for_one_process
from seqexp.generators.beam import BeamSearch
from seqexp.generators.constrained_beam import ConstrainedBeamConfig
from seqexp.generators.unknown_words import UnknownWords
from seqexp.pretrained import TrainedModel, load_model
from seqexp.runtime.errors import UserError

from .conftest import TINY, Command


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and what it makes of the test split at once, in `whole`."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        arguments = [*TINY, f"task.data={data}", "stop.max_updates=30", "validation.scores=false", "run.dir=run"]
        for name, options in (("train", arguments), ("generate", ["run=run", "output=whole"])):
            patch.setattr(sys, "argv", [name, *options])
            __import__(f"seqexp.{name}", fromlist=["cli"]).cli()
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sentences(directory: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(directory) / "hypotheses.jsonl").read_text().splitlines()]


def assert_same(directory: str) -> None:
    """As the whole: in the order of the input, equal but for the rounding of scores."""
    found, whole = sentences(directory), sentences("whole")
    for one, other in zip(found, whole, strict=True):
        for hypothesis, expected in zip(one.pop("hypotheses"), other.pop("hypotheses"), strict=True):
            scores = [hypothesis.pop("score"), *hypothesis.pop("token_scores")]
            assert scores == pytest.approx([expected.pop("score"), *expected.pop("token_scores")], abs=1e-4)
            assert hypothesis == expected
        assert one == other
    assert [one["id"] for one in found] == list(range(15))
    assert Path(directory, "hypotheses.txt").read_text() == Path("whole/hypotheses.txt").read_text()
    result = json.loads(Path(directory, "result.json").read_text())
    assert result["scores"] == json.loads(Path("whole/result.json").read_text())["scores"]
    assert [path for path in Path(directory).iterdir() if path.name.startswith(".")] == []


def standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def after(num_sentences: int, then: BaseException) -> Callable[..., Iterator[Any]]:
    """What `TrainedModel.generate` is if something happens after some sentences."""
    original = TrainedModel.generate

    def generate(model: TrainedModel, *arguments: Any) -> Iterator[Any]:
        for number, item in enumerate(original(model, *arguments)):
            if number == num_sentences:
                raise then
            yield item

    return generate


@pytest.mark.usefixtures("folder")
def test_nothing_depends_on_batches_and_processes(command: Command) -> None:
    command("generate", "run=run", "output=small", "max_tokens=30")
    assert_same("small")
    _, messages = command("generate", "run=run", "output=shared", "num_processes=2", "max_tokens=60")
    assert_same("shared")
    assert "Traceback" not in messages


@pytest.mark.usefixtures("folder")
def test_an_interrupted_one_goes_on(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(TrainedModel, "generate", after(6, KeyboardInterrupt()))
        with pytest.raises(SystemExit) as stopped:
            command("generate", "run=run", "output=out")
        assert stopped.value.code == 130
    (part,) = Path("out").glob(".part-*")
    lines = part.read_text().splitlines(keepends=True)
    assert len(lines) == 6
    # What was kept is not made again, and half a line is none.
    kept = json.loads(lines[2])
    number, kept["hypotheses"][0]["text"] = kept["id"], "kept"
    half = lines[5][:20]
    part.write_text("".join([*lines[:2], json.dumps(kept) + "\n", *lines[3:5], half]))
    _, messages = command("generate", "run=run", "output=out", "max_tokens=30")
    assert "going on: 5 sentences are translated already" in messages
    assert Path("out/hypotheses.txt").read_text().splitlines()[number] == "kept"
    command("generate", "run=run", "output=out", "rerun=true")
    assert_same("out")


@pytest.mark.usefixtures("folder")
def test_shards_that_know_nothing_of_each_other(command: Command) -> None:
    options = ["run=run", "output=out", "max_tokens=30"]
    _, messages = command("generate", *options, "shard=2/2")
    assert "share 2/2 is done; " in messages
    assert not Path("out/hypotheses.txt").exists()
    command("generate", *options, "shard=1/2")
    assert_same("out")


@pytest.mark.usefixtures("folder")
def test_a_finished_one_says_so(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = command("generate", "run=run")
    monkeypatch.setattr(TrainedModel, "generate", after(0, AssertionError("translated again")))
    with monkeypatch.context() as patch:
        patch.delattr("seqexp.pretrained.load_model")
        again, messages = command("generate", "run=run")
    assert again == before
    assert messages == "translated already: rerun=true translates again\n"
    # another score of the same translations
    printed, _ = command("generate", "run=run", "scorer=[chrf]")
    assert printed.startswith("chrF2|")
    with pytest.raises(AssertionError, match="translated again"):
        command("generate", "run=run", "generator.beam_size=3")


@pytest.mark.usefixtures("folder")
def test_standard_input_and_several_references(command: Command, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, (text / "test.en").read_text())
    second = Path("second")
    second.write_text("zwei\n" * 15)
    options = ["run=run", "input=-", "format=fairseq", "generator.nbest=2", f"references=[{text / 'test.de'},second]"]
    options.append("generator.return_attention=true")
    printed, _ = command("generate", *options)
    assert "BLEU|nrefs:2|" in printed
    result = json.loads(Path(printed.splitlines()[-1].removeprefix("result: ")).read_text())
    assert [Path(path).name for path in result["references"]] == ["references.txt", "references.1.txt"]
    assert Path(result["hypotheses"]).read_text() == Path("whole/hypotheses.txt").read_text()
    lines = Path(result["fairseq"]).read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[:8]] == ["S-0", "T-0", "H-0", "D-0", "P-0", "A-0", "H-0", "D-0"]
    best = [line for line in lines if line.startswith("D-")][::2]
    assert [line.split("\t")[2] for line in best] == Path("whole/hypotheses.txt").read_text().splitlines()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["generate", "interactive"])
def test_too_little_memory_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(BeamSearch, "generate", fail)
    standard_input(monkeypatch, "one\ntwo\n")
    with pytest.raises(SystemExit) as stopped:
        command(name, "run=run")
    assert stopped.value.code == 1
    line = capsys.readouterr().err.splitlines()[-1]
    what = {"generate": "a batch (15 sentences x ", "interactive": "lines 1 to 1 does not fit into memory: take"}
    assert line.startswith(f"error: the search of {what[name]}")
    assert line.endswith(" does not fit into memory: take max_tokens below 4096, or fewer beams")


@pytest.mark.usefixtures("folder")
def test_interactive_formats(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["run=run", "generator.nbest=2", "buffer=2"]
    printed = {}
    for name in ("text", "jsonl", "fairseq"):
        standard_input(monkeypatch, "one two.\n\nthree.\n")
        printed[name] = command("interactive", *options, f"format={name}")[0].splitlines()
    objects = [json.loads(line) for line in printed["jsonl"]]
    assert [one["source"] for one in objects] == ["one two.", "", "three."]
    assert [len(one["hypotheses"]) for one in objects] == [2, 1, 2]
    texts = [hypothesis["text"] for one in objects for hypothesis in one["hypotheses"]]
    assert printed["text"] == texts
    assert [line.split("\t")[2] for line in printed["fairseq"] if line.startswith("D-")] == texts
    kinds = [line.split("\t")[0] for line in printed["fairseq"]]
    assert kinds[:8] == ["S-0", "W-0", "H-0", "D-0", "P-0", "H-0", "D-0", "P-0"]
    assert kinds[-8:-6] == ["S-2", "W-2"]
    standard_input(monkeypatch, "one two.\n")
    scored, _ = command("interactive", *options, "scores=true")
    score = objects[0]["hypotheses"][0]["score"]
    assert scored.splitlines()[0] == f"{score:.4f}\t{texts[0]}"


@pytest.mark.usefixtures("folder")
def test_attention_and_unknown_words(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, "one two.\n")
    Path("dictionary").write_text("▁t TWO\n▁one ▁EINS\n", encoding="utf-8")
    rewarded = ["run=run", "generator.unk_penalty=-100", "generator.max_length_a=0", "format=fairseq"]
    printed, _ = command("generate", *rewarded, "input=-", "alignment=soft", "replace_unknown=copy")
    result = json.loads(Path(printed.splitlines()[-1].removeprefix("result: ")).read_text())
    (kept,) = sentences(str(Path(result["hypotheses"]).parent))
    (hypothesis,) = kept["hypotheses"]
    source = load_model("run").task.source_symbols("one two.")
    assert "<unk>" not in hypothesis["text"]
    assert hypothesis["tokens"] == [*(source[place] for place, _ in hypothesis["alignment"]), "</s>"]
    lines = dict(line.split("\t", 1) for line in Path(result["fairseq"]).read_text().splitlines())
    rows = [row.split(",") for row in lines["A-0"].split(" ")]
    assert [[float(weight) for weight in row] for row in rows] == [
        pytest.approx(row, abs=1e-6) for row in hypothesis["attention"]
    ]
    assert {len(row) for row in rows} == {len(source) + 1}
    assert len(rows) == len(hypothesis["tokens"])
    assert all(len(weight.partition(".")[2]) == 6 for row in rows for weight in row)
    standard_input(monkeypatch, "one two.\n")
    printed, _ = command("interactive", *rewarded, "alignment=hard", "replace_unknown=dictionary", "keep_dropout=true")
    lines = dict(line.split("\t", 1) for line in printed.splitlines())
    places = [int(pair.split("-")[0]) for pair in lines["A-0"].split()]
    found = UnknownWords.of("dictionary").dictionary
    expected = load_model("run").task.joined([found.get(source[place], source[place]) for place in places])
    assert lines["H-0"].split("\t")[1] == expected


@pytest.mark.usefixtures("folder")
def test_interactive_constraints(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    standard_input(monkeypatch, "one two.\tsieben\nthree.\n")
    options = ["run=run", "generator=constrained_beam", "generator.max_length_b=20", "format=fairseq", "buffer=2"]
    lines = [line.split("\t") for line in command("interactive", *options)[0].splitlines()]
    assert [line[:2] for line in lines if line[0].startswith(("S-", "C-"))] == [
        ["S-0", "one two."],
        ["C-0", "sieben"],
        ["S-1", "three."],
    ]
    assert "sieben" in next(line[2] for line in lines if line[0] == "D-0")


def test_a_launcher_leaves_some_options_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for rank, told in (("0", False), ("1", True)):
        values = {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, "MASTER_ADDR": "x", "MASTER_PORT": "1"}
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        for options, line in (
            ({"num_processes": 2}, "num_processes=2: torchrun has started the processes; leave it null"),
            ({"input": "-"}, "input=-: torchrun has started 2 processes; give them a file"),
        ):
            with pytest.raises(UserError, match=line) as raised:
                refuse_what_is_for_one_process(GenerateConfig(run="run", **options))
            assert raised.value.told is told
        refuse_what_is_for_one_process(GenerateConfig(run="run"))


@pytest.mark.usefixtures("folder")
def test_every_scorer_in_validation_and_training(
    command: Command, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed, _ = command("validate", "run=run", "splits=[test]", "scorer=[bleu,wer,cer,chrf_plus_plus]")
    result = json.loads(Path(printed.splitlines()[-1].removeprefix("result: ")).read_text())
    assert result["test"]["bleu"] == json.loads(Path("whole/result.json").read_text())["scores"]["bleu"]["score"]
    assert 0 < result["test"]["cer"] < result["test"]["wer"]
    # A library that is not there shows before the training.
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    with pytest.raises(SystemExit):
        command("train", *TINY, f"task.data={data}", "scorer=[wer]", "run.dir=new")
    assert capsys.readouterr().err.startswith("error: rapidfuzz.distance is not installed")
    assert not Path("new").exists()


def test_samples(trained: Path) -> None:
    model = load_model(trained / "run")
    samples = model.sample(["one two.", "five"], num_samples=3, seed=5, top_k=4)
    assert [len(each) for each in samples] == [3, 3]
    assert model.sample(["five"], num_samples=3, seed=5, top_k=4)[0][0].tokens == samples[1][0].tokens
    assert model.sample(["five"], num_samples=3, seed=6, top_k=4) != samples[1:]
    with pytest.raises(TypeError, match="top"):
        model.sample(["five"], top=4)


def test_scores_of_given_targets(trained: Path) -> None:
    """They are those that the search reckoned, where the text leads to the same tokens."""
    model = load_model(trained / "run", max_tokens=20)
    sources = ["one two.", "five", "seven six one two."]
    found = [translations[0] for translations in model.nbest(sources)]
    texts = [translation.text for translation in found]
    scored = model.score(sources, texts)
    num_same = 0
    for translation, score in zip(found, scored, strict=True):
        assert score.log_prob == pytest.approx(sum(score.token_scores), abs=1e-4)
        if score.tokens == translation.tokens:
            num_same += 1
            assert score.token_scores == pytest.approx(translation.token_scores, abs=1e-4)
    assert num_same > 0
    # alone or several times, it is the same
    assert load_model(trained / "run", trained / "run").score(sources[:1], texts[:1])[0].log_prob == pytest.approx(
        scored[0].log_prob, abs=1e-4
    )
    with pytest.raises(TypeError, match="give a list of sentences"):
        model.score("one", ["eins"])
    with pytest.raises(ValueError, match="1 sources and 2 targets"):
        model.score(["one"], ["eins", "zwei"])


@pytest.mark.usefixtures("folder")
def test_searches(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the command line; of what they find their own tests tell."""
    given = "one two.\tdrei vier\tfünf\nsix.\n"
    standard_input(monkeypatch, given)
    found = command("interactive", "run=run", "generator=constrained_beam", "buffer=2")[0].splitlines()
    assert len(found) == 2
    assert "drei vier" in found[0] and "fünf" in found[0]
    standard_input(monkeypatch, given)
    command("generate", "run=run", "generator=constrained_beam", "input=-", "output=constrained")
    assert Path("constrained/hypotheses.txt").read_text().splitlines() == found
    options = [
        "generator@generator.candidates=beam",
        "generator.candidates.beam_size=3",
        "generator.candidates.nbest=3",
    ]
    for name, arguments in (("mbr", options), ("sampling", ["generator.num_samples=2", "generator.top_p=0.9"])):
        for tokens in (20, 4096):
            output = f"{name}-{tokens}"
            command("generate", "run=run", f"generator={name}", *arguments, f"output={output}", f"max_tokens={tokens}")
        texts = [Path(f"{name}-{tokens}/hypotheses.txt").read_text() for tokens in (20, 4096)]
        assert texts[0] == texts[1]
        assert len(texts[0].splitlines()) == 15


def test_prefixes_and_constraints(trained: Path) -> None:
    model = load_model(trained / "run", generator=ConstrainedBeamConfig(nbest=2))
    texts = ["one two.", "five."]
    first, second = model.nbest(texts, prefixes=["drei", ""], constraints=[["vier"], []])
    assert all(translation.text.startswith("drei") and "vier" in translation.text for translation in first)
    assert [each.text for each in second] == [each.text for each in model.nbest(texts)[1]]
    assert [each.text for each in model.nbest(["five.\tvier"])[0]] == [
        each.text for each in model.nbest(["five."], constraints=[["vier"]])[0]
    ]
    with pytest.raises(ValueError, match="prefixes=1 of them is not valid: give one for each of the 2 sentences"):
        model.nbest(texts, prefixes=["drei"])


@pytest.mark.usefixtures("folder")
def test_hypotheses_are_ranked_anew(command: Command) -> None:
    """With no weight for the other model the order stays; what was found is kept, with what the score is made of."""
    command("generate", "run=run", "generator.nbest=2", "output=nbest")
    for weight in (0, 1):
        command(
            "rerank",
            "hypotheses=nbest/hypotheses.jsonl",
            "channel=run",
            f"channel_weight={weight}",
            f"output=w{weight}",
        )
    given, same, other = (sentences(directory) for directory in ("nbest", "w0", "w1"))
    for one, two, three in zip(given, same, other, strict=True):
        assert [each["text"] for each in one["hypotheses"]] == [each["text"] for each in two["hypotheses"]]
        assert sorted(each["text"] for each in three["hypotheses"]) == sorted(x["text"] for x in one["hypotheses"])
        for each in three["hypotheses"]:
            assert each["score"] == pytest.approx((each["direct"] + each["channel"]) / len(each["tokens"]))
    results = [json.loads(Path(directory, "result.json").read_text()) for directory in ("nbest", "w0")]
    assert results[0]["scores"] == results[1]["scores"]
    assert Path("w0/hypotheses.txt").read_text() == Path("nbest/hypotheses.txt").read_text()
