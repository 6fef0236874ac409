from pathlib import Path

from seqexp.runs.journal import Journal, last_line, note_failure, read_after, read_journal


def test_each_start_is_an_attempt(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for attempt in (1, 2):
        with Journal(path) as journal:
            journal.write("train", 10, metrics={"loss": 1.5})
        assert journal.attempt == attempt
    assert [(line["attempt"], line["update"]) for line in read_journal(path)] == [(1, 10), (2, 10)]


def test_a_torn_last_line_is_ignored_and_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.write("train", 1)
    with path.open("a") as file:
        file.write('{"kind": "train", "upd')
    assert len(list(read_journal(path))) == 1
    with Journal(path) as journal:
        journal.write("train", 2)
    assert [line["update"] for line in read_journal(path)] == [1, 2]


def test_values_that_json_lacks_are_strings(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.write("train", 1, metrics={"loss": float("nan"), "norm": float("inf")})
    assert next(read_journal(journal.path))["metrics"] == {"loss": "nan", "norm": "inf"}


def test_reading_on_from_a_position(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert list(read_after(path, 0)) == []
    assert last_line(path) is None
    with Journal(path) as journal:
        journal.write("train", 1)
        ((line, position),) = read_after(path, 0)
        journal.write("train", 2, text="ü")
    assert line["update"] == 1
    with path.open("a") as file:
        file.write('{"kind": "train", "upd')
    ((line, end),) = read_after(path, position)
    assert line["text"] == "ü"
    assert list(read_after(path, end)) == []
    last = last_line(path)
    assert last is not None and last["update"] == 2


def test_the_last_line_of_a_long_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl") as journal:
        for update in range(2000):
            journal.write("train", update, metrics={"loss": 1.5})
    last = last_line(journal.path)
    assert last is not None and last["update"] == 1999


def test_a_failure_is_noted_once_and_belongs_to_the_last_attempt(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    note_failure(path, "before the first attempt")
    assert not path.exists()
    for _ in range(2):
        with Journal(path) as journal:
            journal.write("train", 7)
    for message in ("rank 1 was ended by SIGKILL", "again"):
        note_failure(path, message)
    failures = [line for line in read_journal(path) if line["kind"] == "failed"]
    assert [(line["attempt"], line["error"]) for line in failures] == [(2, "rank 1 was ended by SIGKILL")]
    with Journal(path) as journal:
        journal.write("result", 9)
    note_failure(path, "too late")
    assert [line["kind"] for line in read_journal(path)][-2:] == ["failed", "result"]
