#!/bin/sh
# Makes the virtual environment $VENV with seqexp (editable) and its development tools. uv does it in seconds; where uv
# is not to be had, pip does the same. The constraints hold for the Python they were resolved with, and only for it.
set -eu
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
version=$("$VENV/bin/python" -c 'import sys; print("py%d%d" % sys.version_info[:2])')
constraints="requirements/constraints-$version.txt"
[ -f "$constraints" ] && set -- -c "$constraints" || set --
if "$VENV/bin/python" -m pip install -q uv; then
    # uv reads its own variable for folders of wheels, not pip's.
    if [ -z "${UV_FIND_LINKS:-}" ] && [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="$PIP_FIND_LINKS"; fi
    "$VENV/bin/uv" pip install -q --python "$VENV/bin/python" "$@" -e '.[dev]'
else
    "$VENV/bin/python" -m pip install -q "$@" -e '.[dev]'
fi
