"""How models, losses and searches agree with fairseq's, and how much translations depend on their batches.

    python -m benchmarks.agreement FOLDER

FOLDER holds `peer_cases`, small models that fairseq trained with what it computed and found with them, and
`multi30k_tiny`, for which see `benchmarks/generation.py`. The settings are those of the tests in `tests/goldens`.

Two differences are meant. In `diverse_groups2` fairseq's groups mix when a hypothesis ends early, and go on after its
`</s>`. With an adaptive softmax it divides the states by the temperature (`greedy_temperature`), not the scores.
"""

import argparse
import json
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.generation import agreement
from seqexp.criterions.cross_entropy import CrossEntropy, CrossEntropyConfig
from seqexp.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropy, LabelSmoothedCrossEntropyConfig
from seqexp.generators.base import Hypothesis
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.models.transformer import Transformer
from tests.goldens import peer_cases, peer_lm_cases
from tests.goldens.peer_cases import EOS, MULTI30K, PAD, UNK, Case, by_length, load, pair_batch, search
from tests.goldens.peer_weights import read_peer_data

NUM_INVARIANT = 200
"""Sentences that are translated in batches of several sizes."""

Translations = dict[int, Hypothesis]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    golden = parser.parse_args().folder
    if not (golden / "peer_cases").is_dir():
        parser.error(f"{golden} has no folder peer_cases")
    torch.set_num_threads(1)
    show(["case", "setting", "hypotheses equal", "largest difference of scores"], hypotheses_rows(golden))
    show(["case", "largest difference of log-probabilities", "difference of the loss"], forward_rows(golden))
    known = {*peer_cases.CONFIGS, *peer_lm_cases.CONFIGS}
    missing = [path.parent.name for path in sorted(golden.glob("peer_cases/*/case.json"))]
    write(f"no such model here: {', '.join(name for name in missing if name not in known)}\n")
    folder = golden / "multi30k_tiny"
    model, sources = load(MULTI30K, folder), read_peer_data(folder / "data-bin" / "test.en-de.en")
    found = translated(model, sources, by_length(sources, 64))
    write("multi30k_tiny, beam 5:")
    agreement(folder, {number: hypothesis.tokens.tolist() for number, hypothesis in found.items()})
    write("")
    show(["multi30k_tiny in batches of", *DIFFERENCES], invariance_rows(model, sources[:NUM_INVARIANT]))


def hypotheses_rows(golden: Path) -> Iterator[list[str]]:
    """Of each case with hypotheses and each setting of it."""
    names = [*peer_cases.CONFIGS, "transformer_adaptive_softmax"]
    for name in names:
        case = seq2seq_case(golden, name)
        for setting, expected in case.hypotheses.items():
            found = search(case, setting).generate([case.model], case.batch)
            pairs = [
                (hypothesis, peer)
                for nbest, peers in zip(found, expected, strict=True)
                for hypothesis, peer in zip(nbest, peers, strict=True)
            ]
            equal = [(ours, peer) for ours, peer in pairs if ours.tokens.tolist() == peer["tokens"]]
            differences = [abs(ours.score - peer["score"]) for ours, peer in equal]
            yield [name, setting, f"{len(equal)} of {len(pairs)}", f"{max(differences):.1e}" if equal else "-"]


def seq2seq_case(golden: Path, name: str) -> Case:
    if name in peer_cases.CONFIGS:
        return peer_cases.load_case(golden, name)
    case = peer_lm_cases.load_case(golden, name)
    assert isinstance(case.model, Transformer)
    hypotheses = json.loads((golden / "peer_cases" / name / "hypotheses.json").read_text())
    return Case(case.model, case.batch, case.expected, hypotheses)  # type: ignore[arg-type]  # a PairBatch


def forward_rows(golden: Path) -> Iterator[list[str]]:
    """Of each case, one pass with the targets given; losses are sums over the batch in nats."""
    smoothed = LabelSmoothedCrossEntropy(LabelSmoothedCrossEntropyConfig(label_smoothing=0.1), padding_index=PAD)
    for name in peer_cases.CONFIGS:
        case = peer_cases.load_case(golden, name)
        loss = smoothed(case.model, case.batch).sum.item() - case.expected["criterion"]["loss"]
        yield [name, largest(*peer_cases.compared_log_probs(case)), f"{abs(loss):.1e}"]
    plain = CrossEntropy(CrossEntropyConfig(), padding_index=PAD)
    for name in peer_lm_cases.CONFIGS:
        lm_case = peer_lm_cases.load_case(golden, name)
        ours = plain(lm_case.model, lm_case.batch).sum.item() - peer_lm_cases.left_out_by_the_peer(lm_case)
        loss = ours - lm_case.expected["criterion"]["loss"]
        yield [name, largest(*peer_lm_cases.compared_log_probs(lm_case)), f"{abs(loss):.1e}"]


DIFFERENCES = ["hypotheses equal", "largest difference of scores", "of tokens' scores"]


def invariance_rows(model: Transformer, sources: list[Tensor]) -> Iterator[list[str]]:
    """Compared with batches of 64 sentences of similar length."""
    shuffled = list(range(len(sources)))
    random.Random(1).shuffle(shuffled)
    plans = {
        "1": [[number] for number in range(len(sources))],
        "8": by_length(sources, 8),
        "64, shuffled": [shuffled[start : start + 64] for start in range(0, len(shuffled), 64)],
    }
    base = translated(model, sources, by_length(sources, 64))
    for name, plan in plans.items():
        found = translated(model, sources, plan)
        equal = [number for number in base if found[number].tokens.equal(base[number].tokens)]
        scores = max(abs(found[number].score - base[number].score) for number in equal)
        each = [largest_difference(found[n].positional_scores, base[n].positional_scores) for n in equal]
        yield [name, f"{len(equal)} of {len(base)}", f"{scores:.1e}", f"{max(each):.1e}"]


def translated(model: Transformer, sources: list[Tensor], plan: Iterable[list[int]]) -> Translations:
    """The best hypothesis of each sentence, with a beam of 5."""
    beam = BeamSearch(BeamSearchConfig(), eos=EOS, pad=PAD, unk=UNK)
    return {
        number: nbest[0]
        for numbers in plan
        for number, nbest in zip(numbers, beam.generate([model], pair_batch(sources, numbers)), strict=True)
    }


def largest(ours: Tensor, theirs: Tensor) -> str:
    return f"{largest_difference(ours, theirs):.1e}"


def largest_difference(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max())


def show(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in Markdown, row by row as they come."""
    write(f"| {' | '.join(head)} |")
    write("|" + "---|" * len(head))
    for row in rows:
        write(f"| {' | '.join(row)} |")
    write("")


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
