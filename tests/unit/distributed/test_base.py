import pytest
import torch
from torch import nn

from seqexp.config.build import build
from seqexp.distributed.base import Layout, ProcessesConfig, fingerprint
from seqexp.distributed.ddp import CommunicationConfig, DDPConfig, Hook
from seqexp.distributed.fsdp import FSDPConfig
from seqexp.distributed.local_sgd import LocalSGDConfig
from seqexp.distributed.world import World
from seqexp.distributed.zero import ZeROConfig
from seqexp.runtime.errors import UserError


def test_a_fingerprint_tells_one_bit() -> None:
    model = nn.Linear(3, 2)
    before = fingerprint(model.parameters())
    assert fingerprint(model.parameters()) == before
    weight = model.weight.data
    weight[1, 2] = torch.nextafter(weight[1, 2], torch.tensor(9.0))
    assert fingerprint(model.parameters()) != before
    for kind in (torch.float64, torch.bfloat16, torch.float16):
        fingerprint(model.to(kind).parameters())


def test_what_was_of_one_tensor_is_of_another() -> None:
    one, two = torch.tensor([1.0, 2.0]), torch.tensor([3.0])
    assert fingerprint([one, two]) != fingerprint([two, one])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_processes": 0}, r"^num_processes=0 is not valid"),
        ({"timeout_seconds": 0}, r"^timeout_seconds=0 is not valid"),
        ({"bucket_cap_mb": 0}, r"^bucket_cap_mb=0 is not valid"),
        ({"static_graph": True, "find_unused_parameters": True}, r"^static_graph=True is not valid"),
    ],
)
def test_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DDPConfig(**options)  # type: ignore[arg-type]


def test_a_hook_for_gpus_only() -> None:
    config = DDPConfig(communication=CommunicationConfig(Hook.bf16))
    with pytest.raises(UserError, match=r"distributed.communication.hook=bf16 is not valid: it needs GPUs"):
        build(config, world=World(torch.device("cpu")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"matrix_approximation_rank": 0}, r"^matrix_approximation_rank=0 is not valid"),
        ({"start_update": -1}, r"^start_update=-1 is not valid"),
    ],
)
def test_options_of_communication(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CommunicationConfig(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [DDPConfig(), ZeROConfig(), FSDPConfig(), LocalSGDConfig()])
def test_of_one_process_they_do_nothing(config: ProcessesConfig) -> None:
    layout: Layout = build(config, world=World(torch.device("cpu")))
    module = nn.Linear(2, 1)
    optimizer = layout.make_optimizer(lambda groups: torch.optim.SGD(groups, lr=0.1), list(module.parameters()))
    assert layout.wrap(module) is module
    assert type(optimizer) is torch.optim.SGD
    assert layout.own_optimizer(optimizer) is optimizer
    with layout.evaluated(module) as evaluated:
        assert evaluated is module
    layout.require_equal_weights(module)
