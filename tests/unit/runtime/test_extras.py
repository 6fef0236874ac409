import pytest

from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra


def test_a_library_that_is_missing_is_named_with_its_extra() -> None:
    assert import_extra("json", "nothing").loads("1") == 1
    with pytest.raises(UserError, match=r"^no_such_library is not installed \(.*\): pip install 'seqexp\[some\]'$"):
        import_extra("no_such_library", "some")
