"""A trained model is exported, run by CTranslate2 and served; each gives its translations."""

import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seqexp.runtime.errors import UserError

from .conftest import TINY, Command

SENTENCES = ["one two three.", "seven.", "", "four four five six."]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt something; its data may be read."""
    directory = tmp_path_factory.mktemp("export") / "run"
    options = [*TINY, f"task.data={data}", f"run.dir={directory}", "stop.max_updates=60", "validation.final_splits=[]"]
    command = [sys.executable, "-m", "seqexp.train", *options]
    subprocess.run(command, check=True, capture_output=True, cwd=directory.parent)
    return directory


def translated(run: Path, **options: Any) -> list[str]:
    from seqexp.pretrained import load_model

    return load_model(run, **options).translate(SENTENCES)


def test_ctranslate2(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported and used as its README says; searched by the engine with every option that it honours."""
    pytest.importorskip("ctranslate2", reason="needs the extra ctranslate2")
    out, _ = command("export", f"run={run}", "format=ctranslate2")
    exported = Path(out.splitlines()[-1].removeprefix("exported: "))
    facts = json.loads((exported / "export.json").read_text())
    assert facts["check"]["num_sentences"] == 20  # all that the split has
    assert facts["check"]["largest_difference"] < 1e-4
    assert command("export", f"run={run}", "format=ctranslate2")[0].startswith("there already")
    readme_prints(exported, monkeypatch)

    searches = (
        ["generator.beam_size=3", "generator.nbest=3"],
        ["generator=greedy"],
        ["generator.beam_size=4", "generator.length_penalty=0"],
        ["generator.normalize_scores=false"],
    )
    for number, options in enumerate(searches):
        results = []
        for engine in ("torch", "ctranslate2"):
            output = run.parent / f"{engine}-{number}"
            command("generate", f"run={run}", f"engine={engine}", f"output={output}", *options)
            lines = (output / "hypotheses.jsonl").read_text(encoding="utf-8").splitlines()
            results.append([json.loads(line)["hypotheses"] for line in lines])
        ours, theirs = results
        same = [pair for pair in zip(theirs, ours, strict=True) if pair[0][0]["tokens"] == pair[1][0]["tokens"]]
        assert len(same) >= 12  # of 15, by a model that knows little; the documentation tells where they may differ
        for nbest, expected in same:
            assert len(nbest) == len(expected)
            assert nbest[0]["score"] == pytest.approx(expected[0]["score"], abs=1e-4)
            assert nbest[0]["token_scores"] == pytest.approx(expected[0]["token_scores"], abs=1e-4)
    assert len(list((run / "engines").iterdir())) == 1  # converted once


def readme_prints(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python in the README, run where `folder` is the directory, prints something."""
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(exported.parent)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code.replace("folder", exported.name).replace("A dog runs.", SENTENCES[0]), {})
    assert printed.getvalue().strip()


def test_torch_without_the_data(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in ("checkpoints", "config.json"):
        (moved / part).symlink_to(run / part)
    (moved / "config.json").unlink()
    config["task"]["data"] = str(tmp_path / "gone")
    (moved / "config.json").write_text(json.dumps(config))
    checkpoint = next(iter(sorted((run / "checkpoints").glob("update-*"))))
    out, err = command("export", f"run={moved}", f"checkpoint={int(checkpoint.name[7:])}", "format=torch")
    assert "compared on random tokens" in err
    readme_prints(Path(out.splitlines()[-1].removeprefix("exported: ")), monkeypatch)


def test_options_that_ctranslate2_has_nothing_for(run: Path) -> None:
    from seqexp.engines.ctranslate2 import CTranslate2EngineConfig
    from seqexp.generators.beam import BeamSearchConfig
    from seqexp.pretrained import load_model

    engine = CTranslate2EngineConfig()
    with pytest.raises(ValueError, match=r"generator.temperature=0.5 is nothing that engine=ctranslate2 can do"):
        load_model(run, engine=engine, generator=BeamSearchConfig(temperature=0.5))
    with pytest.raises(ValueError, match=r"generator\.min_length=4 is nothing"):
        load_model(run, engine=engine, generator=BeamSearchConfig(min_length=4))
    with pytest.raises(ValueError, match="it runs one model, not 2"):
        load_model(run, run, engine=engine)


@pytest.fixture
def service(run: Path) -> Iterator[tuple[Any, "subprocess.Popen[str]"]]:
    """A client of the service that `run` is served by, and its process."""
    pytest.importorskip("starlette", reason="needs the extra serve")
    httpx = pytest.importorskip("httpx2", reason="needs httpx2")
    command = [sys.executable, "-m", "seqexp.serve", f"run={run}", "port=0", "max_body_bytes=2000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=run.parent)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving on http://127.0.0.1:"), line + process.communicate(timeout=60)[1]
        with httpx.Client(base_url=line.split()[2], timeout=60) as client:
            yield client, process
    finally:
        process.kill()
        process.communicate()


def test_the_service(run: Path, service: tuple[Any, "subprocess.Popen[str]"]) -> None:
    client, process = service
    asked = {"sentences": SENTENCES, "nbest": 2, "attention": True}
    answer = client.post("/translate", json=asked).json()
    assert [nbest[0]["text"] for nbest in answer["translations"]] == translated(run)
    assert [len(nbest) for nbest in answer["translations"]] == [2, 2, 1, 2]
    assert answer["attention"][2] is None
    picture, best = answer["attention"][0], answer["translations"][0][0]
    assert picture["target"] == best["tokens"]
    assert picture["source"][-1] == "</s>"
    assert len(picture["weights"]) == len(best["tokens"])
    assert all(
        sum(row) == pytest.approx(1, abs=0.01) and len(row) == len(picture["source"]) for row in picture["weights"]
    )
    health = client.get("/health").json()
    assert health == {"status": "ok", "waiting": 0, "translated": 4}
    assert "<title>seqexp: run</title>" in client.get("/").text
    for request, status in (
        ({"content": b"x" * 2001}, 413),
        ({"content": iter([b"x" * 1500, b"x" * 1500])}, 413),
        ({"content": b"\xff"}, 400),
        ({"json": {"sentences": ["one " * 400]}}, 422),
    ):
        refused = client.post("/translate", **request)
        assert refused.status_code == status
        assert list(refused.json()) == ["error"]
    assert client.get("/translate").status_code == 405
    assert "POST /translate" in client.get("/other").json()["error"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "ended after 4 sentences\n", "")


def test_an_address_that_is_taken(run: Path, service: tuple[Any, "subprocess.Popen[str]"]) -> None:
    from seqexp.serve import listen

    client, _ = service
    with pytest.raises(UserError, match=r"host=127.0.0.1 port=\d+ cannot be listened on: Address already in use"):
        listen("127.0.0.1", client.base_url.port)
