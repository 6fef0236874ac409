"""Where a run's figures come from: code, packages, machine."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import seqexp

PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf", "sentencepiece", "sacremoses", "sacrebleu", "safetensors")


def provenance() -> dict[str, Any]:
    """What the result depends on besides config and data."""
    return {
        "seqexp": seqexp.__version__,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
    }


def _git(*arguments: str) -> str | None:
    """Output of git about the checkout that this package lies in; None where there is none, or no git."""
    package = Path(__file__).resolve().parents[2]
    if not (package / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", *arguments], cwd=package, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
