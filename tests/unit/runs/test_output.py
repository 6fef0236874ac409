import json
from pathlib import Path

import pytest

from seqexp.runs.output import output_directory
from seqexp.runtime.errors import UserError


def test_results_take_the_place_of_the_same_results_only(tmp_path: Path) -> None:
    place = tmp_path / "mine"
    assert output_directory(None, tmp_path / "x-k", "k") == tmp_path / "x-k"
    assert output_directory(str(place), tmp_path, "k") == place
    place.mkdir()
    assert output_directory(str(place), tmp_path, "k") == place
    (place / "result.json").write_text(json.dumps({"key": "k"}))
    assert output_directory(str(place), tmp_path, "k") == place
    with pytest.raises(UserError, match="holds something else already"):
        output_directory(str(place), tmp_path, "other")
    (place / "result.json").unlink()
    (place / "notes.txt").write_text("")
    with pytest.raises(UserError, match="holds something else already"):
        output_directory(str(place), tmp_path, "k")
    with pytest.raises(UserError, match="is a file"):
        output_directory(str(place / "notes.txt"), tmp_path, "k")
