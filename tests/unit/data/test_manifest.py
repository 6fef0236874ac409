import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from seqexp.data.manifest import (
    DroppedRecord,
    FieldRecord,
    FileRecord,
    Manifest,
    SplitRecord,
    StageRecord,
    VocabularyRecord,
    file_record,
    hash_of,
    verify_file,
)
from seqexp.runtime.errors import UserError


def record(name: str) -> FileRecord:
    return FileRecord(name, 3, "0" * 64)


def make() -> Manifest:
    stage = StageRecord("subword/sentencepiece", {"vocabulary_size": 8, "model": None}, [record("x.model")])
    sides = {
        side: FieldRecord(9, 1, record(f"train.{side}.bin"), record(f"train.{side}.idx"), record(f"raw/train.{side}"))
        for side in ("en", "de")
    }
    return Manifest(
        kind="parallel",
        fields=["en", "de"],
        source="en",
        target="de",
        stages={"en": [stage], "de": [stage]},
        joint_vocabulary=True,
        vocabularies=dict.fromkeys(["en", "de"], VocabularyRecord(record("vocabulary.txt"), 8)),
        splits={"train": SplitRecord(2, sides, {"empty": DroppedRecord(1, [3])})},
        definition="d",
    )


def test_saving_and_loading(tmp_path: Path) -> None:
    manifest = make()
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert json.loads((tmp_path / "manifest.json").read_text())["format_version"] == 1


def test_no_target(tmp_path: Path) -> None:
    manifest = dataclasses.replace(make(), target=None)
    manifest.save(tmp_path)
    assert Manifest.load(tmp_path).target is None


def test_files_are_named_once() -> None:
    assert [file.name for file in make().text_files()] == ["x.model", "vocabulary.txt"]
    assert len(make().files()) == 8


def test_identity_is_of_the_content() -> None:
    manifest = make()
    assert manifest.identity() == make().identity()
    assert manifest.identity() == dataclasses.replace(manifest, definition="other").identity()
    assert manifest.identity() != dataclasses.replace(manifest, joint_vocabulary=False).identity()
    assert hash_of({"a": 1, "b": [2]}) == hash_of({"b": [2], "a": 1}) != hash_of({"a": 1, "b": [3]})


def change(value: Any, path: str, new: Any) -> None:
    *parents, last = path.split("/")
    for name in parents:
        value = value[int(name) if isinstance(value, list) else name]
    if new is None:
        del value[last]
    else:
        value[last] = new


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("format_version", 2, "format_version=2, this code reads 1"),
        ("format_version", None, "format_version=None, this code reads 1"),
        ("kind", None, "manifest.kind is missing"),
        ("fields", "en", "manifest.fields must be list, not 'en'"),
        ("joint_vocabulary", 1, "manifest.joint_vocabulary must be bool, not 1"),
        ("stages/en/0/component", None, r"manifest.stages.en\[0\].component is missing"),
        ("stages/en/0/options", [], r"manifest.stages.en\[0\].options must be dict"),
        ("splits/train/fields/de/num_tokens", "9", "manifest.splits.train.fields.de.num_tokens must be int, not '9'"),
        ("splits/train/extra", 1, "manifest.splits.train.extra is not known"),
        ("vocabularies/en/file/name", "/etc/passwd", "the file '/etc/passwd' is outside of the directory"),
        ("vocabularies/en/file/name", "a/../../b", "the file 'a/../../b' is outside of the directory"),
    ],
)
def test_invalid_manifests_are_refused_in_one_line(tmp_path: Path, path: str, new: Any, message: str) -> None:
    make().save(tmp_path)
    value = json.loads((tmp_path / "manifest.json").read_text())
    change(value, path, new)
    (tmp_path / "manifest.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=message) as caught:
        Manifest.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert "manifest.json" in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]", b"3", b""])
def test_what_is_no_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UserError, match=r"manifest.json"):
        Manifest.load(tmp_path)


def test_a_directory_without_one_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not a prepared data directory"):
        Manifest.load(tmp_path)


def test_verifying_files(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    good = file_record(tmp_path, "x")
    assert good.size == 3
    verify_file(tmp_path, good)
    path.write_bytes(b"abd")
    verify_file(tmp_path, good, checksum=False)
    with pytest.raises(UserError, match=r"x: the content differs"):
        verify_file(tmp_path, good)
    path.write_bytes(b"abcd")
    with pytest.raises(UserError, match=r"x: it has 4 bytes, the manifest says 3"):
        verify_file(tmp_path, good, checksum=False)
    path.unlink()
    with pytest.raises(UserError, match=r"x: cannot be read: No such file"):
        verify_file(tmp_path, good)
