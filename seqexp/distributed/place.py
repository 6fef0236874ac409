"""Which of several processes this one is, and where they meet: as torchrun, SLURM or seqexp itself says it."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore, rendezvous  # type: ignore[attr-defined]

from seqexp.runtime.errors import UserError

FIRST_PORT, NUM_PORTS = 20_000, 12_000
"""Below those that Linux gives to connections that go out."""


@dataclass(frozen=True)
class Place:
    """This process among those of its job."""

    launcher: str
    """`torchrun`, `srun`, or the command itself."""
    rank: int
    size: int
    local_rank: int
    """Number on this machine."""
    local_size: int
    host: str
    """Where the processes meet."""
    port: int
    parent: int
    """Process number of who started this one."""
    processors: int | None = None
    """That this process may use, where the launcher says it."""
    attempt: str = "0"
    """How often the launcher has started the processes again; torchrun then has the same store still."""

    @property
    def keeps_store(self) -> bool:
        """Whether the first process keeps the store, and nobody who started it."""
        return self.launcher in ("srun", "submitit")

    @property
    def shows_errors(self) -> bool:
        """Whether a process shows a failure itself; those that the command has started leave it to that."""
        return self.launcher != "command"

    @property
    def one_gpu_each(self) -> bool:
        """Whether the launcher may show each process one GPU, its own."""
        return self.launcher in ("srun", "submitit")

    def num_threads(self, all_threads: int) -> int:
        """For computing on the CPU, where the user has not said it."""
        if self.processors is not None:
            return min(all_threads, self.processors)
        return max(1, all_threads // self.local_size)

    def store(self, timeout: timedelta) -> Store:
        """Where the processes meet.

        Raises:
            UserError: they do not.
        """
        try:
            if self.launcher == "torchrun":
                store: Store = next(iter(rendezvous("env://", self.rank, self.size, timeout=timeout)))[0]
                return PrefixStore(f"attempt-{self.attempt}", store)
            is_master = self.keeps_store and self.rank == 0
            return TCPStore(self.host, self.port, is_master=is_master, wait_for_workers=False, timeout=timeout)
        except RuntimeError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise UserError(f"rank {self.rank} cannot meet the others at {self.host}:{self.port}: {reason}") from error


def launched(environment: Mapping[str, str] = os.environ) -> Place | None:
    """This process as torchrun, srun or submitit have started it; None where none of them has, or only this one."""
    place = _torchrun(environment) or _srun(environment) or _submitit(environment)
    return place if place is not None and place.size > 1 else None


def _torchrun(environment: Mapping[str, str]) -> Place | None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    if any(name not in environment for name in names):
        return None
    rank, size, local_rank = (int(environment[name]) for name in names[:3])
    local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
    host, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    attempt = environment.get("TORCHELASTIC_RESTART_COUNT", "0")
    return Place("torchrun", rank, size, local_rank, local_size, host, port, os.getppid(), attempt=attempt)


def _srun(environment: Mapping[str, str]) -> Place | None:
    """A task of a job step; the script of a job, which is none, has no list of the step's nodes."""
    if "SLURM_STEP_NODELIST" not in environment or "SLURM_PROCID" not in environment:
        return None
    tasks = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE", "1")
    processors = environment.get("SLURM_CPUS_PER_TASK")
    step = [environment.get(name, "") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")]
    return Place(
        launcher="srun",
        rank=int(environment["SLURM_PROCID"]),
        size=int(environment.get("SLURM_STEP_NUM_TASKS") or environment["SLURM_NTASKS"]),
        local_rank=int(environment["SLURM_LOCALID"]),
        local_size=_tasks_of_node(tasks, int(environment.get("SLURM_NODEID", "0"))),
        host=first_host(environment["SLURM_STEP_NODELIST"]),
        port=_port(*step),
        parent=os.getppid(),
        processors=int(processors) if processors else None,
    )


def _submitit(environment: Mapping[str, str]) -> Place | None:
    """A task of submitit's executor for this machine, which speaks of it in variables of its own."""
    prefix = "SUBMITIT_LOCAL_"
    if f"{prefix}GLOBALID" not in environment:
        return None
    rank, size, local_rank = (int(environment[f"{prefix}{name}"]) for name in ("GLOBALID", "NTASKS", "LOCALID"))
    port = _port("submitit", environment[f"{prefix}JOB_ID"])
    return Place("submitit", rank, size, local_rank, size, "127.0.0.1", port, os.getppid())


def first_host(nodes: str) -> str:
    """The first of SLURM's list of nodes: `gpu[007-012,020],login1` begins with gpu007."""
    match = re.match(r"(?:[^\[\],]|\[[^\]]*\])+", nodes)
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", match[0] if match else nodes)


def _tasks_of_node(tasks: str, node: int) -> int:
    """Of SLURM's `2(x3),1`, two tasks on each of three nodes and one on the fourth, what a node has."""
    counts: list[int] = []
    for part in tasks.split(","):
        count, _, times = part.partition("(x")
        counts += [int(count)] * int(times.rstrip(")") or 1)
    return counts[node] if node < len(counts) else counts[0]


def _port(*parts: str) -> int:
    """A port that all processes of a job find, and no two jobs share but by a rare chance."""
    digest = hashlib.sha256(" ".join(parts).encode()).digest()
    return FIRST_PORT + int.from_bytes(digest[:4], "big") % NUM_PORTS
