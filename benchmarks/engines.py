"""Sentences per second and BLEU of each engine on one model, and how many of its translations are those of torch.

    python benchmarks/engines.py [RUN] [--split test] [--repeats 3] [--beam-size 5]

RUN is the directory of a run. Without it the model is the one that fairseq trained on Multi30k, in the reference data
(SEQEXP_SHARED, ../shared by default), and the split is test_2016_flickr. Engines take turns; the median is printed.
Batches have at most 4,096 source tokens. The time is that of the search and of the text stages, not of loading.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("SEQEXP_SHARED", ROOT.parent / "shared"))
sys.path.insert(0, str(ROOT))

from seqexp.catalog import CATALOG  # noqa: E402
from seqexp.checkpoint.tensors import Part, TensorSet  # noqa: E402
from seqexp.checkpoint.writing import Content, write_checkpoint  # noqa: E402
from seqexp.config.build import build  # noqa: E402
from seqexp.corpora.parallel import ParallelCorpusConfig  # noqa: E402
from seqexp.data.prepare import PrepareConfig, prepare  # noqa: E402
from seqexp.data.vocabularies import VocabularyConfig  # noqa: E402
from seqexp.engines.base import EngineConfig  # noqa: E402
from seqexp.engines.ctranslate2 import CTranslate2EngineConfig  # noqa: E402
from seqexp.engines.torch import TorchConfig  # noqa: E402
from seqexp.formats.ctranslate2 import Quantization  # noqa: E402
from seqexp.generators.beam import BeamSearchConfig  # noqa: E402
from seqexp.pretrained import Translation, find_checkpoint, load_data, load_model  # noqa: E402
from seqexp.scorers.bleu import BLEUConfig  # noqa: E402
from seqexp.tokenizers.sentencepiece import SentencePieceConfig  # noqa: E402
from seqexp.tokenizers.whitespace import WhitespaceConfig  # noqa: E402
from seqexp.trained_model import best_text  # noqa: E402
from seqexp.training.evaluation import score  # noqa: E402
from tests.goldens.peer_weights import load_peer_checkpoint, transformer_weights  # noqa: E402

ENGINES: dict[str, EngineConfig] = {
    "torch": TorchConfig(),
    "ctranslate2 float32": CTranslate2EngineConfig(compute_type=Quantization.float32),
    "ctranslate2 int8": CTranslate2EngineConfig(compute_type=Quantization.int8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--split", default="test")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beam-size", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.run or str(peer_model(Path(folder))), options)


def measure(run: str, options: argparse.Namespace) -> None:
    generator = BeamSearchConfig(beam_size=options.beam_size)
    models = {name: load_model(run, generator=generator, engine=engine) for name, engine in ENGINES.items()}
    task = load_data(find_checkpoint(run, "best"))
    split = task.load_split(options.split, models["torch"].models[0])
    seconds: dict[str, list[float]] = {name: [] for name in models}
    found: dict[str, dict[int, list[Translation]]] = {}
    for _ in range(options.repeats):
        for name, model in models.items():
            started = time.perf_counter()
            found[name] = dict(model.generate(split))
            seconds[name].append(time.perf_counter() - started)
    for name, translations in found.items():
        texts = {number: best_text(each) for number, each in translations.items()}
        bleu = score(texts, split.references, {"bleu": BLEUConfig()})["bleu"].value
        equal = sum(tokens(each) == tokens(found["torch"][number]) for number, each in translations.items())
        speed = len(split) / statistics.median(seconds[name])
        each_time = ", ".join(f"{value:.2f}" for value in seconds[name])
        sys.stdout.write(
            f"{name}: BLEU {bleu:.2f}, {equal} of {len(split)} as torch, {speed:.1f} sentences per second "
            f"(seconds: {each_time})\n"
        )


def tokens(translations: list[Translation]) -> list[str]:
    return translations[0].tokens if translations else []


def peer_model(folder: Path) -> Path:
    """fairseq's model as a checkpoint of seqexp, with its data directory."""
    golden, text = SHARED / "golden" / "multi30k_tiny", SHARED / "data" / "multi30k" / "raw" / "test_2016_flickr"
    data = prepare(
        PrepareConfig(
            corpus=ParallelCorpusConfig(source_lang="en", target_lang="de", train=str(text), test=str(text)),
            tokenizer=WhitespaceConfig(),
            subword=SentencePieceConfig(model=str(golden / "sentencepiece.model")),
            vocabulary=VocabularyConfig(source=str(golden / "data-bin" / "dict.en.txt"), multiple_of=1),
            destination=str(folder / "data"),
            num_workers=1,
        ),
        CATALOG,
    ).directory
    side = {"num_layers": 4, "hidden_size": 128, "ffn_size": 256, "num_heads": 4, "normalize_before": False}
    config: dict[str, Any] = {
        "task": {"component": "task/translation", "data": str(data)},
        "model": {"component": "model/transformer", "encoder": side, "decoder": side},
        "precision": {"component": "precision/fp32"},
        "generator": {"component": "generator/beam"},
    }
    weights = transformer_weights(load_peer_checkpoint(golden / "checkpoint.pt")["model"])
    from seqexp.tasks.translation import TranslationConfig

    task = build(TranslationConfig(data=str(data)), components=CATALOG)
    shared = "encoder.embedding.tokens.weight"
    aliases = dict.fromkeys(("decoder.embedding.tokens.weight", "decoder.output_projection.weight"), shared)
    tensors = {name: Part.whole(tensor) for name, tensor in weights.items() if name not in aliases}
    content = Content(
        update=1, metrics={}, config=config, task_files=task.files(), tensors={"model": TensorSet(tensors, aliases)}
    )
    written = write_checkpoint(folder / "checkpoint", content)
    assert written is not None
    return written.path


if __name__ == "__main__":
    main()
