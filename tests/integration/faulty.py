"""A criterion that harms its process: named by `plugins=[faulty]`, told what to do by the variable FAULT.

FAULT is `<kind>:<rank>:<micro-batch of training that the rank has begun, from 1>`, or `nan:any:<example>`. The file
that FAULT_STAMP names, if any, is made at that moment.
"""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from seqexp.checkpoint import writing
from seqexp.criterions.base import LossOutput
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyConfig
from seqexp.data.batch import Batch

CATALOG = {"criterion": {"faulty": "faulty:FaultyConfig"}}


@dataclass
class FaultyConfig(LabelSmoothedCrossEntropyConfig):
    _target_: str = "faulty.Faulty"


class Faulty(LabelSmoothedCrossEntropy):
    def __init__(self, config: FaultyConfig, *, padding_index: int) -> None:
        super().__init__(config, padding_index=padding_index)
        self.num_begun = 0

    def forward(self, model: nn.Module, batch: Batch) -> LossOutput:
        output = super().forward(model, batch)
        self.num_begun += model.training
        kind, rank, at = os.environ.get("FAULT", "none:0:0").split(":")
        if kind == "nan" and model.training and int(at) in batch.indices.tolist():
            return LossOutput(output.sum * float("nan"), output.num_targets, output.metrics)
        is_initialized = torch.distributed.is_initialized()
        own_rank = torch.distributed.get_rank() if is_initialized else 0
        first_attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
        if model.training and (str(own_rank), str(self.num_begun)) == (rank, at) and first_attempt:
            return harm(kind, output)
        return output


def harm(kind: str, output: LossOutput) -> LossOutput:
    if "FAULT_STAMP" in os.environ:
        Path(os.environ["FAULT_STAMP"]).touch()
    if kind == "raise":
        raise RuntimeError("the criterion broke")
    if kind == "memory":
        torch.empty(1 << 50)
    if kind == "exit":
        os._exit(3)
    if kind == "hang":
        time.sleep(1000)
    if kind == "collective":
        torch.distributed.barrier()
    if kind == "worker":
        for worker in multiprocessing.active_children():
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
    if kind == "save":  # the next time
        writing.write_parts = lambda *_: os._exit(3)  # type: ignore[assignment]
    if kind.startswith("parent-"):
        os.kill(os.getppid(), signal.Signals[kind.removeprefix("parent-")])
    if kind.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[kind])
    return output
