"""Peak memory and seconds of a forward and backward pass under each way of keeping activations.

    python benchmarks/activation_memory.py [--layers 6] [--width 512] [--tokens 4096] [--length 64] [--words 8000]

The model is a transformer with so many layers on either side, four times as wide inside, with dropout. Each figure
comes from a process of its own. Memory is the peak beyond what the process had before, with its model and gradients, on
a GPU what torch reserved there; seconds are the least of the repetitions, on a CPU of its time. `--compile` shows the
compiled blocks too, and the seconds of the first pass.
"""

import argparse
import json
import subprocess
import sys
import time

import torch

from seqexp.config.build import build
from seqexp.criterions.cross_entropy import CrossEntropyConfig
from seqexp.data.batch import PairBatch
from seqexp.models.base import Model
from seqexp.models.transformer import TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.runtime.memory import use_large_pages
from seqexp.training.memory import ActivationCheckpoint, MemoryConfig, change_blocks
from seqexp.training.probe import Meter

PAD = 1
WAYS = {
    "none": MemoryConfig(),
    "selective": MemoryConfig(ActivationCheckpoint.selective),
    "full, every 2nd": MemoryConfig(ActivationCheckpoint.full, every_n_blocks=2),
    "full": MemoryConfig(ActivationCheckpoint.full),
}
COMPILED = {"compiled": MemoryConfig(compile=True)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    ways = {**WAYS, **COMPILED} if options.compile else WAYS
    if options.one:
        print(json.dumps(measure(options, ways[options.one])))
        return
    for name in ways:
        command = [sys.executable, __file__, *sys.argv[1:], "--one", name]
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        found = json.loads(run.stdout)
        print(
            f"{name:>16}: {found['megabytes']:>8,.0f} MB {found['seconds']:>8.2f} s (first {found['first']:.2f} s)   "
            f"loss {found['loss']:.9f}"
        )


def clock(device: torch.device) -> float:
    """Seconds: on a CPU those of all threads of this process, which other processes do not change."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(options: argparse.Namespace, config: MemoryConfig) -> dict[str, float]:
    use_large_pages()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, batch = build_model(options).to(device).train(), build_batch(options).to(device)
    change_blocks(model, config, device)
    criterion = build(CrossEntropyConfig(), padding_index=PAD)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    seconds, losses = [], []

    def run() -> None:
        torch.manual_seed(2)
        started = clock(device)
        loss = criterion(model, batch).sum
        loss.backward()
        losses.append(loss.item() / batch.num_targets)
        seconds.append(clock(device) - started)

    run()
    meter = Meter(device)  # what libraries load on first use does not count
    peak = max(meter(run) for _ in range(options.repeats))
    return {"megabytes": peak / 1e6, "seconds": min(seconds[1:]), "first": seconds[0], "loss": losses[-1]}


def build_model(options: argparse.Namespace) -> Model:
    torch.manual_seed(1)
    side = {
        "num_layers": options.layers,
        "hidden_size": options.width,
        "ffn_size": 4 * options.width,
        "num_heads": options.width // 64,
    }
    config = TransformerConfig(encoder=EncoderConfig(**side), decoder=DecoderConfig(**side))
    sizes = {"source_vocabulary_size": options.words, "target_vocabulary_size": options.words, "padding_index": PAD}
    model: Model = build(config, **sizes)
    return model


def build_batch(options: argparse.Namespace) -> PairBatch:
    sentences = options.tokens // options.length
    source, target = (torch.randint(4, options.words, (sentences, options.length)) for _ in range(2))
    lengths = torch.full((sentences,), options.length)
    return PairBatch(torch.arange(sentences), target.numel(), source, lengths, target, target)


if __name__ == "__main__":
    main()
