"""Writes docs/mistakes.md from the table that the tests go by: `python docs/generate_mistakes.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/mistakes.md"
HEADER = """\
# What a mistake looks like

Made by `docs/generate_mistakes.py` from the tables of `tests/integration/mistakes.py` and
`test_preprocess_mistakes.py`; do not edit. Every line is a
test: the command prints the line on standard error (after `error: `), leaves with the exit status, and leaves behind no
more than is said here. `...` stands for what varies. In the folder lie `data` (prepared data), `run` (a finished run on
it) and `text` (raw text). `HYDRA_FULL_ERROR=1` shows the stack trace as well.

| mistake | command | exit status | line | left behind |
|---|---|---|---|---|
"""


def page() -> str:
    sys.path.insert(0, str(ROOT))
    from tests.integration.mistakes import MISTAKES, TRAIN
    from tests.integration.test_preprocess_mistakes import FILES, OPTIONS

    rows = []
    for mistake in MISTAKES:
        given = [argument for argument in mistake.arguments if argument not in TRAIN]
        command = " ".join([mistake.command, *given])
        left = ", ".join(mistake.left) or "nothing"
        cells = [mistake.what, f"`{command}`", str(mistake.status), mistake.line, left]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    for what, (_, line) in FILES.items():
        rows.append(f"| text: {what} | `preprocess` | 2 | {line} | nothing |")
    for options, line in OPTIONS:
        given = " ".join(f"{key}={value}" for key, value in options.items())
        rows.append(f"| options of preprocess | `preprocess {given}` | 2 | {line} ... | nothing |")
    return HEADER + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE}\n")
