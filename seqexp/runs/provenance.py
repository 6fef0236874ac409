"""Where a run's figures come from: code, packages, machine, command line."""

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import seqexp

DECISIVE_PACKAGES = (
    "torch",
    "numpy",
    "sentencepiece",
    "sacremoses",
    "subword-nmt",
    "tokenizers",
    "nltk",
    "sacrebleu",
    "safetensors",
)
"""Those on which a run's figures depend: another version of one of these is other code."""
ENVIRONMENT = re.compile(
    r"OMP_NUM_THREADS|MKL_NUM_THREADS|CUDA_VISIBLE_DEVICES|CUBLAS_WORKSPACE_CONFIG|NCCL_|SLURM_JOB"
)
MAX_DIFF_BYTES = 5_000_000


def provenance(components: Iterable[type] = ()) -> dict[str, Any]:
    """What the result depends on besides config and data, and what helps to find out why two results differ.

    Args:
        components: config classes in use; the code of those from outside seqexp is hashed too.
    """
    modules = {component.__module__.partition(".")[0] for component in components}
    names = sorted({"seqexp", *modules} - {"__main__", "builtins"})
    return {
        "seqexp": seqexp.__version__,
        "code": {name: hash_of_code(name) for name in names},
        "git": {str(root): _commit(root) for root in repositories()},
        "python": platform.python_version(),
        "packages": dict(sorted((each.metadata["Name"], each.version) for each in distributions())),
        "platform": platform.platform(),
        "hardware": hardware(),
        "environment": {key: value for key, value in sorted(os.environ.items()) if ENVIRONMENT.match(key)},
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "folder": str(Path.cwd()),
    }


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What of the code has changed between two provenances, in words; empty if the same figures must come out."""
    found = []
    for name, code in now["code"].items():
        if before["code"].get(name) != code:
            found.append(f"the code of {name}")
    if _minor(before["python"]) != _minor(now["python"]):
        found.append(f"python {before['python']} -> {now['python']}")
    for name in DECISIVE_PACKAGES:
        old, new = before["packages"].get(name), now["packages"].get(name)
        if old != new:
            found.append(f"{name} {old or 'absent'} -> {new or 'absent'}")
    return found


def hash_of_code(name: str) -> str:
    """SHA-256 of the Python files of an imported module or package."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    digest = hashlib.sha256()
    if file is not None:
        root = Path(file)
        files = sorted(root.parent.rglob("*.py")) if hasattr(module, "__path__") else [root]
        for path in files:
            digest.update(path.relative_to(root.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def code_changes() -> str:
    """The uncommitted changes of every repository that is involved, as `git diff` prints them; cut where very long."""
    parts = [_git(root, "diff", "HEAD") or "" for root in repositories()]
    text = "\n".join(part for part in parts if part)
    return text if len(text) <= MAX_DIFF_BYTES else text[:MAX_DIFF_BYTES] + "\n[cut here]\n"


def repositories() -> list[Path]:
    """The git checkouts of seqexp and of the working directory, where there are such."""
    roots = [_git(folder, "rev-parse", "--show-toplevel") for folder in (Path(__file__).resolve().parents[2], Path())]
    return [Path(root) for root in dict.fromkeys(roots) if root]


def hardware() -> dict[str, Any]:
    """Processor, memory, GPUs."""
    found: dict[str, Any] = {"processor": _processor(), "num_processors": os.cpu_count()}
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_bytes"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if "torch" in sys.modules:
        cuda = sys.modules["torch"].cuda
        found["gpus"] = [cuda.get_device_name(number) for number in range(cuda.device_count())]
        found["num_threads"] = sys.modules["torch"].get_num_threads()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit(root: Path) -> dict[str, Any]:
    return {
        "commit": _git(root, "rev-parse", "HEAD"),
        "changed": bool(_git(root, "status", "--porcelain", "--untracked-files=no")),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says of a folder; None where it is in no checkout, or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip()


def _minor(python: str) -> str:
    return ".".join(python.split(".")[:2])
