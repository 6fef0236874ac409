"""`python -m seqexp`: the commands and what each does."""

import ast
from pathlib import Path

from seqexp import __version__


def commands() -> dict[str, str]:
    """What each command does, by name; read from the files, so that nothing is imported."""
    package, found = Path(__file__).parent, {}
    for path in (*package.glob("*.py"), *package.glob("*/__main__.py")):
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        name = path.stem if path.parent == package else path.parent.name
        if first.startswith(start := f"`python -m seqexp.{name}`: "):
            found[name] = " ".join(first.removeprefix(start).split())
    return dict(sorted(found.items()))


if __name__ == "__main__":
    print(f"seqexp {__version__}\n\nCommands, each with --help:\n")
    for name, what in commands().items():
        print(f"  python -m seqexp.{name:12} {what}")
