from pathlib import Path

import psutil

from seqexp.runtime.memory import free_memory, peak_memory, reset_peak_memory, resident_memory


def write_group(folder: Path, limit: str, used: int, names: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} 30\n")


NEW = ("memory.max", "memory.current", "inactive_file")
OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def test_the_smallest_group_counts(tmp_path: Path) -> None:
    """Groups lie in one another: a limit may be that of a job, of which this process is a step."""
    groups, membership = tmp_path / "cgroup", tmp_path / "self"
    membership.write_text("0::/slurm/job_7/step_0\n")
    write_group(groups / "slurm/job_7/step_0", "max", 90, NEW)
    write_group(groups / "slurm/job_7", "1000", 500, NEW)
    assert free_memory(groups, membership) == 530


def test_groups_of_the_first_version(tmp_path: Path) -> None:
    groups, membership = tmp_path / "cgroup", tmp_path / "self"
    membership.write_text("4:cpu:/x\n3:memory:/slurm/job_7\n")
    write_group(groups / "memory/slurm/job_7", "2000", 400, OLD)
    assert free_memory(groups, membership) == 1630


def test_without_groups(tmp_path: Path) -> None:
    found = free_memory(tmp_path / "none", tmp_path / "nothing")
    assert 0 < found <= psutil.virtual_memory().total


def test_the_peak_is_what_was_there_at_once() -> None:
    reset_peak_memory()
    before = peak_memory()
    block = b"x" * 2**26
    assert len(block) and peak_memory() - before > 2**25
    assert resident_memory() > 2**26
    del block
    reset_peak_memory()
    assert peak_memory() < before + 2**25
