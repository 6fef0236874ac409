"""Sentences per second of beam search, and how it agrees with fairseq on a model that fairseq has trained.

    python -m benchmarks.generation FOLDER [--processes 2] [--repeats 3] [--peer NAME=COMMAND ...] [--int8] [--size N]

FOLDER holds fairseq's `checkpoint.pt` of a transformer (4+4 layers, 128 wide, 256 inside, 4 heads), its `data-bin`, the
`sentencepiece.model`, the references `test.de` in pieces, and what fairseq made of the test set with a beam of 5
(`fairseq_beam5.txt`). Each process has one thread and takes every n-th batch; loading is not counted, nor is it by the
peers. A peer's COMMAND prints a JSON object with `sentences_per_s` in it (or objects with that by name); ours
and theirs alternate, so that a busy machine is fair to all. `--size N` takes random weights, 6+6 layers of that width,
and hypotheses of 30 words instead, without peers and agreement.
"""

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import sacrebleu
import sentencepiece
import torch

from seqexp.data.batch import PairBatch
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.models.transformer import Transformer, TransformerConfig
from seqexp.models.transformer_decoder import DecoderConfig
from seqexp.models.transformer_encoder import EncoderConfig
from seqexp.runtime.memory import use_large_pages
from tests.goldens.peer_weights import load_peer_checkpoint, read_peer_data, transformer_weights

PAD, EOS, UNK = 1, 2, 3
FIRST_WORD = 4
"""Index of the first line of fairseq's dictionary."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND")
    parser.add_argument("--int8", action="store_true", help="dynamic quantisation of all linears")
    parser.add_argument("--size", type=int)
    options = parser.parse_args()
    speeds: dict[str, list[float]] = {}
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        shares = [(options, share) for share in range(options.processes)]
        list(pool.map(translate, shares))  # loads, and warms up
        for _ in range(options.repeats):
            started = time.perf_counter()
            results = list(pool.map(translate, shares))
            seconds = time.perf_counter() - started
            found = {number: words for result, _ in results for number, words in result.items()}
            speeds.setdefault("seqexp", []).append(len(found) / seconds)
            for peer in options.peer:
                name, _, command = peer.partition("=")
                for key, speed in run_peer(name, command).items():
                    speeds.setdefault(key, []).append(speed)
    memory = max(megabytes for _, megabytes in results)
    for name, values in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(speeds["seqexp"], values, strict=True))
        shown = ", ".join(f"{value:.0f}" for value in values)
        sys.stdout.write(
            f"{name}: {statistics.median(values):.0f} sentences/s ({shown}); seqexp is {ratio:.2f} times\n"
        )
    sys.stdout.write(f"seqexp: at most {memory:.0f} MB a process\n")
    if options.size is None:
        agreement(options.folder, found)


STATE: dict[str, Any] = {}


def translate(task: tuple[argparse.Namespace, int]) -> tuple[dict[int, list[int]], float]:
    """One process's share: number of the sentence to its words; and the most megabytes that the process has had."""
    options, share = task
    if not STATE:
        use_large_pages()
        torch.set_num_threads(1)
        STATE["model"] = load(options)
        STATE["sources"] = read_peer_data(options.folder / "data-bin" / "test.en-de.en")
    sources, lengths = STATE["sources"], {"min_length": 30, "max_length_a": 0.0, "max_length_b": 30}
    search = BeamSearch(BeamSearchConfig(**(lengths if options.size else {})), eos=EOS, pad=PAD, unk=UNK)
    found = {}
    for numbers in batches(sources, options.max_tokens)[share :: options.processes]:
        chosen = [sources[number] for number in numbers]
        tokens = torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=PAD)
        batch = PairBatch(torch.tensor(numbers), 0, tokens, torch.tensor([len(source) for source in chosen]))
        nbests = search.generate([STATE["model"]], batch)
        found |= {number: nbest[0].tokens.tolist() for number, nbest in zip(numbers, nbests, strict=True)}
    return found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(options: argparse.Namespace) -> Transformer:
    weights = transformer_weights(load_peer_checkpoint(options.folder / "checkpoint.pt")["model"])
    width = options.size or 128
    side: dict[str, Any] = {"num_layers": 4, "ffn_size": 256, "num_heads": 4}
    if options.size:
        side = {"num_layers": 6, "ffn_size": 4 * width, "num_heads": 8}
    side |= {"hidden_size": width, "normalize_before": False}
    vocabulary_size = len(weights["encoder.embedding.tokens.weight"])
    torch.manual_seed(1)
    model = Transformer(
        TransformerConfig(encoder=EncoderConfig(**side), decoder=DecoderConfig(**side)),
        source_vocabulary_size=vocabulary_size,
        target_vocabulary_size=vocabulary_size,
        padding_index=PAD,
    )
    if not options.size:
        model.load_state_dict(weights)
    model.eval()
    return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}) if options.int8 else model


def batches(sources: list[torch.Tensor], max_tokens: int) -> list[list[int]]:
    """Numbers of sentences of similar length, whose padded size is at most `max_tokens`."""
    found: list[list[int]] = [[]]
    for number in sorted(range(len(sources)), key=lambda number: len(sources[number])):
        if (len(found[-1]) + 1) * len(sources[number]) > max_tokens:
            found.append([])
        found[-1].append(number)
    return found


def run_peer(name: str, command: str) -> dict[str, float]:
    printed = subprocess.run(shlex.split(command), check=True, text=True, capture_output=True).stdout
    result = json.loads(printed.splitlines()[-1])
    if "sentences_per_s" in result:
        return {name: result["sentences_per_s"]}
    return {f"{name} {kind}": part["sentences_per_s"] for kind, part in result.items()}


def agreement(folder: Path, found: dict[int, list[int]]) -> None:
    """How many hypotheses are fairseq's, and the scores of ours."""
    symbols = [line.split(" ")[0] for line in (folder / "data-bin/dict.de.txt").read_text("utf-8").splitlines()]
    subword = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))
    ours = [subword.decode([symbols[w - FIRST_WORD] for w in found[n] if w >= FIRST_WORD]) for n in sorted(found)]
    lines = (folder / "fairseq_beam5.txt").read_text("utf-8").splitlines()
    theirs = {int(n[2:]): text for n, _, text in (line.split("\t") for line in lines if line.startswith("H-"))}
    equal = sum(text.split() == theirs[number].split() for number, text in enumerate(ours))
    references = [[subword.decode(line.split()) for line in (folder / "test.de").read_text("utf-8").splitlines()]]
    sys.stdout.write(f"{equal} of {len(ours)} hypotheses are fairseq's\n")
    for score in (sacrebleu.corpus_bleu, sacrebleu.corpus_chrf, sacrebleu.corpus_ter):
        sys.stdout.write(f"{score(ours, references).format(width=1)}\n")


if __name__ == "__main__":
    main()
