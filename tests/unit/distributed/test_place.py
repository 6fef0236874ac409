import pytest

from seqexp.distributed.place import Place, first_host, launched

STEP = {
    "SLURM_JOB_ID": "17",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[007-008]",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "SLURM_CPUS_PER_TASK": "4",
}


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("gpu[007-012,020],login1", "gpu007"),
        ("rack[2-3]-node[1,4]", "rack2-node1"),
        ("a-1.example.org,b", "a-1.example.org"),
    ],
)
def test_the_first_host(nodes: str, host: str) -> None:
    assert first_host(nodes) == host


def test_srun() -> None:
    place = launched(STEP)
    assert place is not None
    assert (place.launcher, place.rank, place.size, place.local_rank, place.local_size) == ("srun", 2, 3, 0, 1)
    assert (place.host, place.processors, place.keeps_store) == ("gpu007", 4, True)
    first = launched({**STEP, "SLURM_PROCID": "0", "SLURM_NODEID": "0"})
    assert first is not None
    assert first.port == place.port
    assert first.local_size == 2
    other = launched({**STEP, "SLURM_STEP_ID": "1"})
    assert other is not None
    assert other.port != place.port


def test_the_script_of_a_job_is_no_step() -> None:
    assert launched({name: value for name, value in STEP.items() if "STEP" not in name}) is None


def test_one_task_is_one_process() -> None:
    assert launched({**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}) is None
    assert launched({}) is None


def test_torchrun_within_srun() -> None:
    names = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    place = launched({**STEP, **names, "MASTER_ADDR": "gpu007", "MASTER_PORT": "29400"})
    assert place is not None
    assert (place.launcher, place.rank, place.size, place.local_size, place.port) == ("torchrun", 5, 8, 4, 29400)


def test_submitit_on_this_machine() -> None:
    names = {"GLOBALID": "1", "NTASKS": "2", "LOCALID": "1", "JOB_ID": "4711"}
    place = launched({f"SUBMITIT_LOCAL_{name}": value for name, value in names.items()})
    assert place is not None
    assert (place.launcher, place.rank, place.size, place.host) == ("submitit", 1, 2, "127.0.0.1")


def test_processes_of_a_machine_share_its_processors() -> None:
    place = Place("command", 0, 4, 0, 4, "127.0.0.1", 1, 1)
    assert place.num_threads(8) == 2
    assert place.num_threads(2) == 1
    srun = launched(STEP)
    assert srun is not None
    assert srun.num_threads(16) == 4
