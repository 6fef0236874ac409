import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from seqexp.corpora.embedded import EmbeddedCorpusConfig
from seqexp.corpora.parallel import ParallelCorpusConfig
from seqexp.corpora.text import TextCorpusConfig
from seqexp.data import assembly, binarize, counting, text, vocabularies
from seqexp.data import prepare as preparing
from seqexp.data.indexed import TokenStore, TokenStoreWriter
from seqexp.data.manifest import DroppedRecord, Manifest
from seqexp.data.policies import EmptyLines, LinePolicyConfig, LongLines
from seqexp.data.prepare import PrepareConfig, Prepared, prepare
from seqexp.data.stages import load_vocabulary
from seqexp.data.vocabularies import VocabularyConfig
from seqexp.data.workspace import Workspace
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.characters import CharactersConfig
from seqexp.tokenizers.moses import MosesConfig
from seqexp.tokenizers.sentencepiece import SentencePieceConfig
from seqexp.tokenizers.subword_nmt import SubwordNMTConfig

Catalog = Mapping[str, Mapping[str, str]]
MakeConfig = Callable[..., PrepareConfig]
WriteCorpus = Callable[..., ParallelCorpusConfig]


def sentences(prepared: Prepared, split: str, field: str) -> list[str]:
    """The tokens of a split as text."""
    vocabulary = load_vocabulary(prepared.directory, prepared.manifest, field)
    store = TokenStore(prepared.directory / f"{split}.{field}")
    return [vocabulary.decode(store[number].tolist()) for number in range(len(store))]


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def names_beside(directory: Path) -> set[str]:
    """Names of what lies beside a directory, the corpus' files left out."""
    return {
        path.name for path in directory.parent.iterdir() if path.name.split(".")[0] not in ("train", "valid", "test")
    }


def test_a_data_directory(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    prepared = prepare(make_config(), catalog)
    assert prepared.is_new
    assert prepared.directory == tmp_path / "data"
    manifest = Manifest.load(prepared.directory)
    assert manifest == prepared.manifest
    manifest.verify(prepared.directory)
    assert names_beside(prepared.directory) == {"data"}
    expected = {record.name for record in manifest.files()} | {"manifest.json", "summary.json"}
    assert set(content(prepared.directory)) == expected
    assert (manifest.kind, manifest.source, manifest.target) == ("parallel", "en", "de")
    assert sentences(prepared, "train", "en")[:3] == ["the dog runs", "a cat", "the cat runs ."]
    assert sentences(prepared, "valid", "de") == ["der Hund", "<unk> <unk>"]
    assert manifest.splits["valid"].fields["de"].num_unknown == 2
    assert manifest.splits["valid"].fields["de"].num_tokens == 6
    assert (prepared.directory / "raw" / "test.de").read_bytes() == (tmp_path / "test.de").read_bytes()


def test_nothing_of_the_test_split_is_dropped(make_config: MakeConfig, catalog: Catalog) -> None:
    prepared = prepare(make_config(), catalog)
    assert sentences(prepared, "test", "en") == ["a cat runs", "", "the dog"]
    assert prepared.manifest.splits["test"].dropped == {}


def test_dropped_pairs_are_counted_and_missing_from_the_raw_text(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog
) -> None:
    corpus = write_corpus(train=[("a", "b"), ("", "c"), ("d", " \u2028"), ("e", "f")])
    prepared = prepare(make_config(corpus=corpus), catalog)
    split = prepared.manifest.splits["train"]
    assert split.num_examples == 2
    assert split.dropped == {"empty": DroppedRecord(2, [2, 3])}
    assert (prepared.directory / "raw" / "train.en").read_text() == "a\ne\n"
    assert (prepared.directory / "raw" / "train.de").read_text() == "b\nf\n"
    assert sentences(prepared, "train", "de") == ["b", "f"]
    train = make_config().corpus.train
    assert f"train: 2 dropped, empty: {train}.en:2, {train}.de:3" in prepared.summary().splitlines()
    rows = [row.split("\t") for row in (prepared.directory / "dropped.train.tsv").read_text().splitlines()]
    assert rows == [["reason", "line", "tokens"], ["empty", f"{train}.en:2", "1"], ["empty", f"{train}.de:3", "1"]]


def test_summary(make_config: MakeConfig, catalog: Catalog) -> None:
    prepared = prepare(make_config(), catalog)
    lines = prepared.summary().splitlines()
    percentiles = ["mean", "median", "95%", "99%", "longest"]
    assert lines[0].split() == ["split", "field", "sentences", "tokens", "unknown", *percentiles]
    assert lines[1].split() == ["train", "en", "12", "48", "0.00%", "4.0", "4", "5", "5", "5"]
    assert lines[7:] == ["vocabulary vocabulary.txt: 16 tokens"]
    figures = json.loads((prepared.directory / "summary.json").read_text())
    assert figures == prepared.figures
    assert prepare(make_config(), catalog).summary() == prepared.summary()
    train = figures["splits"]["train"]["fields"]["en"]
    assert list(train["files"].values()) == [12]
    assert train["lengths"]["histogram"] == [[2, 3, 4], [4, 7, 8]]


@pytest.mark.parametrize("subword", [SentencePieceConfig(vocabulary_size=26), SubwordNMTConfig(num_operations=10)])
def test_the_number_of_workers_does_not_matter(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, subword: TokenizerConfig
) -> None:
    made = []
    for num_workers in (1, 2):
        destination = str(tmp_path / f"data{num_workers}")
        config = make_config(tokenizer=MosesConfig(), subword=subword, destination=destination, num_workers=num_workers)
        made.append(prepare(config, catalog))
    assert content(made[0].directory) == content(made[1].directory)
    assert made[0].manifest.identity() == made[1].manifest.identity()


@pytest.mark.parametrize("joint", [True, False])
def test_joint_or_separate(make_config: MakeConfig, catalog: Catalog, joint: bool) -> None:
    subword = SubwordNMTConfig(num_operations=10, joint=joint)
    prepared = prepare(make_config(subword=subword, vocabulary=VocabularyConfig(joint=joint)), catalog)
    names = {record.name for record in prepared.manifest.text_files()}
    separate = {"codes.en.bpe", "codes.de.bpe", "vocabulary.en.txt", "vocabulary.de.txt"}
    assert names == ({"codes.bpe", "vocabulary.txt"} if joint else separate)
    assert sentences(prepared, "train", "en")[1].replace("@@ ", "") == "a cat"
    assert sentences(prepared, "train", "de")[1].replace("@@ ", "") == "eine Katze"


def test_stages_are_applied_in_order(make_config: MakeConfig, catalog: Catalog) -> None:
    config = make_config(tokenizer=MosesConfig(escape=False), subword=CharactersConfig())
    prepared = prepare(config, catalog)
    assert sentences(prepared, "test", "en")[0] == "a ▁ c a t ▁ r u n s"
    assert [stage.component for stage in prepared.manifest.stages["en"]] == ["tokenizer/moses", "subword/characters"]


class Recorded:
    lines: list[str]


@dataclass
class RecordingConfig(TokenizerConfig):
    _target_: str = f"{__name__}.RecordingTokenizer"


class RecordingTokenizer(Tokenizer):
    """Remembers the text that it is trained on."""

    def __init__(self, config: RecordingConfig, *, directory: Path, language: str) -> None:
        self.directory = directory

    def files(self) -> list[str]:
        return ["recorded"]

    def train(self, lines: Iterable[str]) -> None:
        Recorded.lines = list(lines)
        (self.directory / "recorded").touch()

    def encode(self, line: str) -> str:
        return line

    def decode(self, tokens: str) -> str:
        return tokens


@pytest.mark.parametrize("tokenizer", [None, MosesConfig()])
def test_a_stage_learns_from_the_train_split_after_the_stage_before(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, tokenizer: TokenizerConfig | None
) -> None:
    corpus = write_corpus(train=[("a  dog.", "ein\u2028Hund.")])
    options = {"tokenizer": tokenizer} if tokenizer else {}
    prepared = prepare(make_config(corpus=corpus, subword=RecordingConfig(), **options), catalog)
    assert Recorded.lines == (["a dog .", "ein Hund ."] if tokenizer else ["a dog.", "ein Hund."])
    assert prepared.manifest.stages["en"][1].component == f"{__name__}:RecordingConfig"


def test_the_same_again_is_left_alone(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    first = prepare(make_config(), catalog)
    times = {path: path.stat().st_mtime_ns for path in first.directory.rglob("*")}
    again = prepare(make_config(num_workers=2, overwrite=True), catalog)
    assert not again.is_new
    assert again.manifest == first.manifest
    assert times == {path: path.stat().st_mtime_ns for path in first.directory.rglob("*")}
    assert names_beside(tmp_path / "data") == {"data"}


@pytest.mark.parametrize("what", ["text", "options"])
def test_other_text_or_options_need_overwrite(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, what: str
) -> None:
    first = prepare(make_config(), catalog)
    before = content(first.directory)
    changed = {"corpus": write_corpus(valid=[("x", "y")])} if what == "text" else {"subword": CharactersConfig()}
    with pytest.raises(UserError, match="choose another name or set overwrite=true"):
        prepare(make_config(**changed), catalog)
    assert content(first.directory) == before
    second = prepare(make_config(**changed, overwrite=True), catalog)
    assert second.is_new
    assert content(first.directory) != before
    assert names_beside(first.directory) == {"data"}


def test_a_damaged_directory_needs_overwrite(make_config: MakeConfig, catalog: Catalog) -> None:
    prepared = prepare(make_config(), catalog)
    before = content(prepared.directory)
    (prepared.directory / "train.en.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"train.en.bin: it has 0 bytes.*overwrite=true replaces it"):
        prepare(make_config(), catalog)
    assert prepare(make_config(overwrite=True), catalog).is_new
    assert content(prepared.directory) == before
    (prepared.directory / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="overwrite=true replaces it"):
        prepare(make_config(), catalog)
    assert prepare(make_config(overwrite=True), catalog).is_new


def test_a_directory_of_something_else_is_never_replaced(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").touch()
    with pytest.raises(UserError, match="exists and is not a data directory"):
        prepare(make_config(overwrite=True), catalog)
    assert content(tmp_path / "data") == {"thesis.tex": b""}
    (tmp_path / "data" / "thesis.tex").unlink()
    assert prepare(make_config(), catalog).is_new


STEPS = [
    (assembly, "encode_texts"),
    (vocabularies, "count_tokens"),
    (vocabularies, "learn_vocabulary"),
    (preparing, "binarize_texts"),
    (assembly, "merge_field"),
    (assembly, "file_record"),
    (preparing, "write_json"),
]
"""Functions of `prepare` in the order in which they are first called."""


def fail_at(monkeypatch: pytest.MonkeyPatch, module: object, step: str, error: BaseException) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(module, step, fail)


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
@pytest.mark.parametrize("has_old", [False, True])
def test_an_error_leaves_nothing(
    make_config: MakeConfig,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    step: str,
    has_old: bool,
) -> None:
    if has_old:
        prepare(make_config(subword=CharactersConfig()), catalog)
    config = make_config(overwrite=True, tokenizer=MosesConfig())
    before = content(tmp_path)
    fail_at(monkeypatch, module, step, RuntimeError())
    with pytest.raises(RuntimeError):
        prepare(config, catalog)
    assert content(tmp_path) == before


@pytest.mark.parametrize(("module", "step"), STEPS, ids=[step for _, step in STEPS])
def test_an_interrupted_preparation_goes_on(
    make_config: MakeConfig,
    catalog: Catalog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: ModuleType,
    step: str,
) -> None:
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 30)
    options = {"tokenizer": MosesConfig(), "subword": SubwordNMTConfig(num_operations=10)}
    expected = content(prepare(make_config(**options, destination=str(tmp_path / "at_once")), catalog).directory)
    config = make_config(**options)
    with monkeypatch.context() as patch:
        fail_at(patch, module, step, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            prepare(config, catalog)
    assert names_beside(tmp_path / "data") == {"at_once", ".data.preparing"}
    assert f"{tmp_path}/data: interrupted; the same command goes on from here" in caplog.text
    assert step == "encode_texts" or "going on with what was interrupted" in _after_another_try(config, catalog, caplog)
    assert content(prepare(config, catalog).directory) == expected
    assert names_beside(tmp_path / "data") == {"at_once", "data"}


def _after_another_try(config: PrepareConfig, catalog: Catalog, caplog: pytest.LogCaptureFixture) -> str:
    caplog.clear()
    with caplog.at_level("INFO"):
        prepare(config, catalog)
    return caplog.text


def test_what_is_finished_is_not_done_again(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MIN_CHUNK_BYTES", 30)
    config = make_config(tokenizer=MosesConfig())
    with monkeypatch.context() as patch:
        fail_at(patch, preparing, "binarize_texts", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            prepare(config, catalog)
    with monkeypatch.context() as patch:
        fail_at(patch, binarize, "_encode_chunk", AssertionError("text is encoded again"))
        fail_at(patch, counting, "_count_part", AssertionError("tokens are counted again"))
        assert prepare(config, catalog).is_new


def test_a_damaged_part_is_made_again(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"tokenizer": MosesConfig()}
    expected = content(prepare(make_config(**options, destination=str(tmp_path / "at_once")), catalog).directory)
    with monkeypatch.context() as patch:
        fail_at(patch, preparing, "binarize_texts", KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            prepare(make_config(**options), catalog)
    damaged = next((tmp_path / ".data.preparing").glob("*/scratch/final.train.en.*"))
    damaged.write_bytes(damaged.read_bytes().replace(b"dog", b"god"))
    (tmp_path / ".data.preparing" / "lease.json").write_text("{")
    assert content(prepare(make_config(**options), catalog).directory) == expected


KILLED = """
import os, signal, sys
from seqexp.data import assembly, prepare, text, vocabularies
from seqexp.data.indexed import DTYPES, TokenStoreWriter
from seqexp.preprocess import cli
text.MIN_CHUNK_BYTES = 30
def kill(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)
def write_and_kill(fields, number, prefix, *arguments):
    with TokenStoreWriter(prefix, DTYPES[1]):
        kill()
step = sys.argv.pop(1)
if step == "writing":
    assembly.merge_field = write_and_kill
else:
    setattr(prepare, step, kill)
cli()
"""


@pytest.mark.parametrize("step", ["writing", "read_alignments"])
def test_after_a_kill(make_config: MakeConfig, catalog: Catalog, tmp_path: Path, step: str) -> None:
    corpus = make_config().corpus
    corpus.alignments = "align"
    for split, num_lines in (("train", 12), ("test", 3)):
        (tmp_path / f"{split}.align").write_text("\n" * num_lines)
    options = {"corpus": corpus, "subword": CharactersConfig()}
    expected = content(prepare(make_config(**options, destination=str(tmp_path / "at_once")), catalog).directory)
    arguments = ["corpus=parallel", "corpus.source_lang=en", "corpus.target_lang=de", "corpus.alignments=align"]
    arguments += [f"corpus.{split}={tmp_path / split}" for split in ("train", "valid", "test")]
    arguments += ["subword=characters", f"destination={tmp_path / 'data'}", "num_workers=1"]
    killed = subprocess.run([sys.executable, "-c", KILLED, step, *arguments], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / ".data.preparing" / "lease.json").exists()
    if step == "writing":
        assert [*(tmp_path / ".data.preparing").glob("*/data/.train.en.bin.*.tmp")] != []
    assert content(prepare(make_config(**options), catalog).directory) == expected
    assert names_beside(tmp_path / "data") == {"at_once", "data"}


def test_termination_can_be_gone_on_from(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(vocabularies, "count_tokens", lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(SystemExit) as caught:
            prepare(make_config(), catalog)
    assert caught.value.code == 143
    assert names_beside(tmp_path / "data") == {".data.preparing"}
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert prepare(make_config(), catalog).is_new
    assert names_beside(tmp_path / "data") == {"data"}


def test_a_mistake_does_not_cost_what_was_interrupted(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other options begin anew, beside it; when it has been left for a week, it is deleted."""

    def interrupt(**options: object) -> None:
        with monkeypatch.context() as patch:
            fail_at(patch, preparing, "binarize_texts", KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                prepare(make_config(**options), catalog)

    interrupt()
    before = content(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        prepare(make_config(vocabulary=VocabularyConfig(source="missing")), catalog)
    with pytest.raises(UserError, match="more than 2 tokens"):
        prepare(make_config(lines=LinePolicyConfig(long=LongLines.error, max_tokens=2)), catalog)
    assert content(tmp_path) == before
    begun = next((tmp_path / ".data.preparing").glob("*/ledger.jsonl"))
    os.utime(begun, (0, 0))
    interrupt(subword=CharactersConfig())
    assert not begun.exists()


def test_what_a_kill_at_the_very_end_leaves_is_removed(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path
) -> None:
    first = prepare(make_config(), catalog)
    assert first.manifest.definition
    for name in (first.manifest.definition[:16], "old"):
        (tmp_path / ".data.preparing" / name / "scratch").mkdir(parents=True)
    assert not prepare(make_config(), catalog).is_new
    assert names_beside(tmp_path / "data") == {"data"}


def test_two_at_once(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    with (
        Workspace(tmp_path / "data"),
        pytest.raises(UserError, match=r"in use by process .* choose another destination"),
    ):
        prepare(make_config(), catalog)
    assert names_beside(tmp_path / "data") == set()


def test_a_full_disk(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fail_at(monkeypatch, TokenStoreWriter, "write", error)
    with pytest.raises(UserError, match=rf"destination={tmp_path}/data: .* cannot be written: No space left on device"):
        prepare(make_config(destination=str(tmp_path / "data")), catalog)
    assert names_beside(tmp_path / "data") == set()


def test_torch_is_not_imported() -> None:
    """It would take longer than preparing a small corpus."""
    program = "import sys, seqexp.data.prepare; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_given_vocabularies(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("the 5\ndog 4\nHund 1\n")
    joint = prepare(make_config(vocabulary=VocabularyConfig(source=str(tmp_path / "given.txt"))), catalog)
    assert (joint.directory / "vocabulary.txt").read_text() == "the 5\ndog 4\nHund 1\n"
    assert sentences(joint, "train", "en")[0] == "the dog <unk>"
    assert sentences(joint, "train", "de")[0] == "<unk> Hund <unk>"
    config = VocabularyConfig(joint=False, target=str(tmp_path / "given.txt"))
    separate = prepare(make_config(vocabulary=config, destination=str(tmp_path / "separate")), catalog)
    assert sentences(separate, "train", "en")[0] == "the dog runs"
    assert sentences(separate, "train", "de")[0] == "<unk> Hund <unk>"


def test_a_changed_given_file_is_another_definition(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("the 5\n")
    config = make_config(vocabulary=VocabularyConfig(source=str(tmp_path / "given.txt")))
    prepare(config, catalog)
    (tmp_path / "given.txt").write_text("the 5\ndog 4\n")
    with pytest.raises(UserError, match="other options or text"):
        prepare(config, catalog)
    (tmp_path / "given.txt").unlink()
    with pytest.raises(UserError, match=r"given.txt: the vocabulary cannot be read"):
        prepare(config, catalog)


def test_vocabulary_limits(make_config: MakeConfig, catalog: Catalog) -> None:
    prepared = prepare(make_config(vocabulary=VocabularyConfig(max_size=6, multiple_of=4)), catalog)
    vocabulary = load_vocabulary(prepared.directory, prepared.manifest, "en")
    assert len(vocabulary) == 8
    assert vocabulary.counts[4:] == [8, 8, 0, 0]
    assert prepared.manifest.vocabularies["de"].num_tokens == 8


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"valid": [("a", "b\nc")]}, r"valid.en has 1 lines, .*valid.de has 2; line i of each"),
        ({"train": [("a", "b\nc")]}, r"train.en has 1 lines, .*train.de has 2; line i of each"),
        ({"train": []}, r"train.en is empty"),
        ({"train": [("", "b")]}, r"train.en: the `lines` policy leaves no example"),
    ],
)
def test_text_that_cannot_be_prepared(
    make_config: MakeConfig,
    write_corpus: WriteCorpus,
    catalog: Catalog,
    tmp_path: Path,
    texts: dict[str, list[tuple[str, str]]],
    message: str,
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        prepare(make_config(corpus=write_corpus(**texts)), catalog)
    assert "\n" not in str(caught.value)
    assert names_beside(tmp_path / "data") == set()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_text_that_is_not_utf8(make_config: MakeConfig, catalog: Catalog, tmp_path: Path, num_workers: int) -> None:
    config = make_config(num_workers=num_workers)
    (tmp_path / "valid.de").write_bytes(b"gut\nM\xfcll\n")
    with pytest.raises(UserError, match=r"valid.de:2: not UTF-8"):
        prepare(config, catalog)
    assert names_beside(tmp_path / "data") == set()


def test_the_error_policy_names_the_line_of_the_input(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path
) -> None:
    config = make_config(lines=LinePolicyConfig(empty=EmptyLines.error), tokenizer=MosesConfig())
    with pytest.raises(UserError, match=rf"{tmp_path}/test.en:2: no tokens"):
        prepare(config, catalog)


def test_a_destination_that_cannot_be_written(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        prepare(make_config(destination=str(tmp_path / "file" / "data")), catalog)


def test_deeper_destinations_are_made(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    assert prepare(make_config(destination=str(tmp_path / "a" / "b")), catalog).is_new
    assert (tmp_path / "a" / "b" / "manifest.json").exists()


def test_the_embedded_corpus(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    corpus = EmbeddedCorpusConfig(num_train=30, num_valid=5, num_test=6)
    prepared = prepare(make_config(corpus=corpus), catalog)
    assert {name: split.num_examples for name, split in prepared.manifest.splits.items()} == {
        "train": 30,
        "valid": 5,
        "test": 6,
    }
    again = prepare(make_config(corpus=corpus, destination=str(tmp_path / "again")), catalog)
    assert again.manifest == prepared.manifest


def test_no_paths_are_kept(make_config: MakeConfig, catalog: Catalog, tmp_path: Path) -> None:
    prepared = prepare(make_config(), catalog)
    assert str(tmp_path) not in json.dumps((prepared.directory / "manifest.json").read_text())


def test_the_number_of_workers_is_positive() -> None:
    with pytest.raises(ValueError, match="num_workers=0"):
        PrepareConfig(num_workers=0)


def test_shards_and_named_sets(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, tmp_path: Path
) -> None:
    """Shards are one split, in order; every set has its own name; lines are named in their own file."""
    write_corpus(part1=[("a", "b"), ("", "c")], part2=[("d e", "f"), ("g", "")], news=[("a", "x")], ted=[("d", "y")])
    corpus = ParallelCorpusConfig(
        source_lang="en",
        target_lang="de",
        train=[str(tmp_path / "part1"), str(tmp_path / "part2")],
        valid=[str(tmp_path / "news"), str(tmp_path / "ted")],
        test={"ted-2016": str(tmp_path / "ted")},
    )
    prepared = prepare(make_config(corpus=corpus), catalog)
    assert {name: split.num_examples for name, split in prepared.manifest.splits.items()} == {
        "train": 2,
        "valid": 1,
        "valid1": 1,
        "ted-2016": 1,
    }
    assert sentences(prepared, "train", "en") == ["a", "d e"]
    assert (prepared.directory / "raw" / "train.en").read_text() == "a\nd e\n"
    assert sentences(prepared, "valid1", "en") == sentences(prepared, "ted-2016", "en") == ["d"]
    assert prepared.manifest.splits["train"].dropped == {"empty": DroppedRecord(2, [2, 4])}
    assert f"train: 2 dropped, empty: {tmp_path}/part1.en:2, {tmp_path}/part2.de:2" in prepared.summary()
    files = prepared.figures["splits"]["train"]["fields"]["en"]["files"]
    assert files == {f"{tmp_path}/part1.en": 2, f"{tmp_path}/part2.en": 2}
    (tmp_path / "part2.de").write_text("f\n")
    with pytest.raises(UserError, match=r"part2.en has 2 lines, .*part2.de has 1"):
        prepare(make_config(corpus=corpus), catalog)


def test_one_file_or_its_shards(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, tmp_path: Path
) -> None:
    config = make_config(tokenizer=MosesConfig(), subword=SubwordNMTConfig(num_operations=10))
    whole = prepare(config, catalog)
    lines = {side: (tmp_path / f"train.{side}").read_text().splitlines(keepends=True) for side in ("en", "de")}
    for side, text_of_side in lines.items():
        (tmp_path / f"part1.{side}").write_text("".join(text_of_side[:5]).removesuffix("\n"))
        (tmp_path / f"part2.{side}").write_text("".join(text_of_side[5:]))
    config.corpus.train = [str(tmp_path / "part1"), str(tmp_path / "part2")]  # type: ignore[attr-defined]
    config.destination = str(tmp_path / "sharded")
    sharded = prepare(config, catalog)
    assert sharded.manifest.identity() == whole.manifest.identity()
    names = ("summary.json", "manifest.json")
    first, second = ({n: c for n, c in content(made.directory).items() if n not in names} for made in (whole, sharded))
    assert first == second


def test_only_vocabularies_and_what_is_made_with_them(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path
) -> None:
    options = {"tokenizer": MosesConfig(), "subword": SubwordNMTConfig(num_operations=10, joint=False)}
    separate = VocabularyConfig(joint=False, threshold={"source": 5, "target": 0})
    whole = prepare(make_config(**options, vocabulary=separate, destination=str(tmp_path / "whole")), catalog)
    separate.only = True
    only = prepare(make_config(**options, vocabulary=separate), catalog)
    assert only.manifest.splits == {}
    assert set(content(only.directory)) == {
        *("manifest.json", "summary.json", "codes.en.bpe", "codes.de.bpe", "vocabulary.en.txt", "vocabulary.de.txt")
    }
    assert only.summary().splitlines() == [
        "vocabulary vocabulary.en.txt: 8 tokens",
        "vocabulary vocabulary.de.txt: 16 tokens",
    ]
    config = make_config(**options, vocabulary=VocabularyConfig(joint=False), destination=str(tmp_path / "next"))
    config.reuse = str(only.directory)
    made = prepare(config, catalog)
    names = ("summary.json", "manifest.json")
    first, second = ({n: c for n, c in content(made.directory).items() if n not in names} for made in (whole, made))
    assert first == second
    config.corpus.train = None  # type: ignore[attr-defined]
    config.destination = str(tmp_path / "held_out")
    held_out = prepare(config, catalog)
    assert list(held_out.manifest.splits) == ["valid", "test"]
    assert held_out.manifest.splits["test"] == whole.manifest.splits["test"]
    config.reuse = None
    with pytest.raises(UserError, match=r"corpus.train=null: .* give it, or reuse="):
        prepare(config, catalog)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subword": SubwordNMTConfig(num_operations=11)}, r"made with subword.num_operations=10, not 11"),
        ({"subword": CharactersConfig()}, "made with subword=subword/subword_nmt, not subword/characters"),
        ({"vocabulary": VocabularyConfig(joint=False)}, "made with vocabulary.joint=True, not False"),
        ({"vocabulary": VocabularyConfig(source="x")}, "leave vocabulary.source and .target out"),
        ({"reuse": "missing"}, "missing: not a prepared data directory"),
    ],
)
def test_what_cannot_be_reused(
    make_config: MakeConfig, catalog: Catalog, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    prepare(make_config(subword=SubwordNMTConfig(num_operations=10), destination=str(tmp_path / "first")), catalog)
    defaults = {"subword": SubwordNMTConfig(num_operations=10), "reuse": str(tmp_path / "first")}
    with pytest.raises(UserError, match=message):
        prepare(make_config(**{**defaults, **options}), catalog)
    assert names_beside(tmp_path / "data") == {"first"}


def test_one_language_of_two_is_reused(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, tmp_path: Path
) -> None:
    """For a language model of what a translation model writes."""
    for joint in (True, False):
        vocabulary = VocabularyConfig(joint=joint)
        first = prepare(make_config(destination=str(tmp_path / f"pairs{joint}"), vocabulary=vocabulary), catalog)
        pairs = write_corpus()
        text = TextCorpusConfig(language="de", train=f"{pairs.train}.de", valid=f"{pairs.valid}.de")
        config = make_config(corpus=text, reuse=str(first.directory), vocabulary=vocabulary)
        config.destination = str(tmp_path / f"text{joint}")
        second = prepare(config, catalog)
        assert second.manifest.fields == ["de"]
        words = [load_vocabulary(each.directory, each.manifest, "de") for each in (first, second)]
        assert words[0] == words[1]


def test_other_languages_are_not_reused(
    make_config: MakeConfig, write_corpus: WriteCorpus, catalog: Catalog, tmp_path: Path
) -> None:
    first = prepare(make_config(destination=str(tmp_path / "first")), catalog)
    corpus = write_corpus()
    corpus.source_lang, corpus.target_lang = "de", "en"
    with pytest.raises(UserError, match="made with languages=en, de, not de, en"):
        prepare(make_config(corpus=corpus, reuse=str(first.directory)), catalog)
    (first.directory / "vocabulary.txt").write_text("a 1\n")
    with pytest.raises(UserError, match=r"vocabulary.txt: it has 4 bytes"):
        prepare(make_config(reuse=str(first.directory)), catalog)
