"""Peak memory and seconds of output projection and loss, forward and backward: all scores at once, and in chunks.

    python benchmarks/loss_memory.py [--targets 16384] [--words 32000] [--width 512] [--precision fp32]

Each figure comes from a process of its own. Memory is the peak beyond what the process had before the loss, on a GPU
what torch allocated there; the gradients of the states and of the weight are part of it. Seconds are the least of the
repetitions, on a CPU of its time. `whole` is what torch offers, F.cross_entropy; `dense` is seqexp's loss of all
scores, `chunked` that with `criterion.chunk_size`; `recomputed` is the same in chunks that are computed again in the
backward pass (torch.utils.checkpoint), the usual other way.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from seqexp.criterions.chunked_cross_entropy import chunked_cross_entropy
from seqexp.criterions.smoothed_cross_entropy import smoothed_cross_entropy
from seqexp.runtime.memory import use_large_pages

PAD, SMOOTHING = 1, 0.1
FORMATS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
Loss = Callable[[Tensor, nn.Linear, Tensor], Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=int, default=16_384)
    parser.add_argument("--words", type=int, default=32_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--precision", choices=FORMATS, default="fp32")
    parser.add_argument("--chunks", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options, *options.one.split(":"))))
        return
    print(f"{options.targets:,} targets x {options.words:,} words, {options.width} wide, {options.precision}")
    ways = ["whole:0", "dense:0", *(f"{way}:{size}" for way in ("chunked", "recomputed") for size in options.chunks)]
    for way in ways:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", way]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(run.stdout)
        print(f"{way:>16}: {found['megabytes']:>8,.0f} MB {found['seconds']:>8.2f} s   loss {found['loss']:.6f}")


def clock(device: torch.device) -> float:
    """Seconds: on a CPU those of all threads of this process, which other processes do not change."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(options: argparse.Namespace, way: str, chunk_size: str) -> dict[str, float]:
    use_large_pages()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(1)
    projection = nn.Linear(options.width, options.words, bias=False, device=device)
    states = torch.randn(options.targets, options.width, device=device, requires_grad=True)
    targets = torch.randint(2, options.words, (options.targets,), device=device)
    loss_of = ways()[way] if chunk_size == "0" else partial(ways()[way], chunk_size=int(chunk_size))
    loss_of(states[:8], projection, targets[:8]).backward()  # what libraries load on first use does not count
    dtype, seconds, before = FORMATS[options.precision], [], peak(device)
    value = torch.zeros(())
    for _ in range(options.repeats):
        states.grad = projection.weight.grad = None
        started = clock(device)
        with torch.autocast(device.type, dtype=dtype) if dtype else nullcontext():
            loss = loss_of(states, projection, targets)
        loss.backward()
        value = loss.detach().cpu()
        seconds.append(clock(device) - started)
    return {"megabytes": (peak(device) - before) / 1e6, "seconds": min(seconds), "loss": float(value) / options.targets}


def peak(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def ways() -> dict[str, Callable[..., Tensor]]:
    return {"whole": whole, "dense": dense, "chunked": chunked, "recomputed": recomputed}


def whole(states: Tensor, projection: nn.Linear, targets: Tensor) -> Tensor:
    scores = projection(states).float()
    return F.cross_entropy(scores, targets, ignore_index=PAD, reduction="sum", label_smoothing=SMOOTHING)


def dense(states: Tensor, projection: nn.Linear, targets: Tensor) -> Tensor:
    return smoothed_cross_entropy(projection(states), targets, SMOOTHING, PAD)[0]


def chunked(states: Tensor, projection: nn.Linear, targets: Tensor, *, chunk_size: int) -> Tensor:
    return chunked_cross_entropy(states, projection, targets, SMOOTHING, PAD, chunk_size=chunk_size)[0]


def recomputed(states: Tensor, projection: nn.Linear, targets: Tensor, *, chunk_size: int) -> Tensor:
    def one(some_states: Tensor, some_targets: Tensor) -> Tensor:
        return dense(some_states, projection, some_targets)

    parts = zip(states.split(chunk_size), targets.split(chunk_size), strict=True)
    losses = [checkpoint(one, *part, use_reentrant=False) for part in parts]
    return torch.stack(losses).sum()


if __name__ == "__main__":
    main()
