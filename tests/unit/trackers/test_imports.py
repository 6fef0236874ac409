"""Training must never import what trackers need, and sending must do without torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import seqexp

PACKAGE = Path(seqexp.__file__).parent
HEAVY = {"mlflow", "tensorboard"}


def imports(node: ast.AST, inside: bool = False) -> Iterator[tuple[str, bool]]:
    """Imported modules, and whether that is inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((name.name.split(".")[0], inside) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield (child.module or "").split(".")[0], inside
        yield from imports(child, inside or isinstance(child, ast.FunctionDef))


def test_libraries_of_trackers_are_imported_by_one_file_each_and_late() -> None:
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for name, is_late in imports(ast.parse(path.read_text(encoding="utf-8"))):
            if name in HEAVY:
                assert is_late, f"{path} imports {name} at once"
                found.add((name, path.relative_to(PACKAGE).as_posix()))
    assert found == {("mlflow", "trackers/mlflow.py"), ("tensorboard", "trackers/tensorboard.py")}


def test_sending_does_without_torch() -> None:
    modules = "seqexp.sync, seqexp.trackers.mlflow, seqexp.trackers.tensorboard"
    code = f"import sys, {modules}; print({{'torch', 'mlflow'}} & {{*sys.modules}})"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"
