from typing import Any

import pytest

from seqexp.runs.identity import run_key

CONFIG: dict[str, Any] = {
    "seed": 1,
    "task": {"data": "here", "source_lang": "en"},
    "run": {"root": "outputs"},
    "batch": {"max_tokens": 100, "num_workers": 0},
}


def changed(section: str, **values: Any) -> dict[str, Any]:
    return {**CONFIG, section: {**CONFIG[section], **values}}


@pytest.mark.parametrize(
    "config",
    [
        changed("run", root="x"),
        changed("batch", num_workers=3),
        changed("task", data="there"),
        {**CONFIG, "tracker": {}},
    ],
)
def test_what_cannot_change_the_result_does_not_count(config: dict[str, Any]) -> None:
    assert run_key(config, "data") == run_key(CONFIG, "data")


def test_everything_else_counts() -> None:
    keys = {
        run_key(CONFIG, "data"),
        run_key(CONFIG, "other data"),
        run_key({**CONFIG, "seed": 2}, "data"),
        run_key(changed("batch", max_tokens=99), "data"),
        run_key(changed("task", source_lang="de"), "data"),
    }
    assert len(keys) == 5


def test_the_config_is_left_as_it_was() -> None:
    run_key(CONFIG, "data")
    assert CONFIG["run"] == {"root": "outputs"}


def test_what_happens_to_bad_batches_counts_only_where_it_changes_the_result() -> None:
    keys = {
        policy: [
            run_key({**CONFIG, "non_finite": {"policy": policy}, "checkpoint": {"every": {"updates": updates}}}, "data")
            for updates in (10, 20)
        ]
        for policy in ("stop", "skip", "rollback")
    }
    assert len({*keys["stop"], *keys["skip"]}) == 1
    assert len({*keys["stop"], *keys["rollback"]}) == 3


def test_who_shares_the_work_does_not_count_unless_it_changes_gradients() -> None:
    def key(component: str, **values: Any) -> str:
        return run_key({**CONFIG, "distributed": {"component": component, **values}}, "data")

    one = key("distributed/single", device="auto")
    assert key("distributed/ddp", num_processes=4, communication={"hook": "none"}) == one
    assert key("distributed/zero", static_graph=True) == one
    exact = {"weights": "stored", "gradients": "float32"}
    assert key("distributed/fsdp", num_processes=3, cpu_offload=True, communication=exact) == one
    assert key("distributed/fsdp", communication={**exact, "weights": "precision"}) != one
    half = key("distributed/ddp", num_processes=4, communication={"hook": "fp16"})
    assert half != one
    assert key("distributed/ddp", num_processes=2, communication={"hook": "fp16"}) == half


def test_options_of_powersgd_count_with_it() -> None:
    def key(hook: str, rank: int) -> str:
        communication = {"hook": hook, "matrix_approximation_rank": rank, "start_update": 1000}
        return run_key({**CONFIG, "distributed": {"component": "distributed/ddp", "communication": communication}}, "")

    assert key("none", 1) == key("none", 2) == run_key(CONFIG, "")
    assert key("fp16", 1) == key("fp16", 2)
    assert len({key("none", 1), key("fp16", 1), key("powersgd", 1), key("powersgd", 2)}) == 4


@pytest.mark.parametrize("component", ["distributed/local_sgd", "my_layouts:LocalConfig"])
def test_who_shares_the_work_counts_where_each_number_computes_something_else(component: str) -> None:
    def key(number: int, **values: Any) -> str:
        return run_key({**CONFIG, "distributed": {"component": component, **values}}, "data", num_processes=number)

    two = key(2, num_processes=2, period=8)
    assert two == key(2, num_processes=None, period=8, timeout_seconds=5)
    others = [key(3, num_processes=3, period=8), key(2, num_processes=2, period=9), run_key(CONFIG, "data")]
    assert two not in others
