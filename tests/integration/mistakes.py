"""The mistakes that a user makes, and the line that each gets: a table for the tests and for docs/mistakes.md.

In the folder of each lie `data` (prepared data), `run` (a finished run on it) and `text` (raw text).
"""

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seqexp import train

from .conftest import TINY

TRAIN = [*TINY, "task.data=data", "stop.max_updates=2", "validation.scores=false"]

LM = [
    *("task=language_modeling", "model=transformer_lm", "task.data=data", "task.tokens_per_sample=32"),
    *("model.num_layers=1", "model.hidden_size=16", "model.ffn_size=16", "model.num_heads=2", "tracker=[]"),
    *("stop.max_updates=2", "batch.max_tokens=400"),
]
"""A small language model of the same data."""


@dataclass(frozen=True)
class Mistake:
    """What somebody does, and what is printed."""

    what: str
    command: str
    arguments: list[str]
    line: str
    """The last line on standard error, after `error: `; `...` stands for anything."""
    spoil: Callable[[], Any] = field(default=lambda: None)
    """Makes the situation, in the current folder."""
    status: int = 2
    """Of the exit."""
    input: bytes = b""
    """Standard input."""
    left: list[str] = field(default_factory=list)
    """What is there afterwards that was not there before; nothing, but for runs whose training had begun."""


def edit_json(path: str, **values: Any) -> Callable[[], None]:
    """Changes keys of a JSON file; None removes one."""

    def edit() -> None:
        content = {**json.loads(Path(path).read_text()), **values}
        Path(path).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return edit


def truncate(path: str) -> Callable[[], None]:
    return lambda: os.truncate(path, Path(path).stat().st_size // 2)


def write(path: str, content: str | bytes) -> Callable[[], Any]:
    data = content.encode() if isinstance(content, str) else content
    return lambda: Path(path).write_bytes(data)


def append(path: str, content: str) -> Callable[[], Any]:
    return lambda: Path(path).write_text(Path(path).read_text() + content)


def flip_last_byte(path: str) -> Callable[[], None]:
    def flip() -> None:
        content = bytearray(Path(path).read_bytes())
        content[-1] ^= 1
        Path(path).write_bytes(content)

    return flip


def move(source: str, destination: str) -> Callable[[], Any]:
    return lambda: shutil.move(source, destination)


def broken_preset() -> None:
    Path("presets/model").mkdir(parents=True)
    Path("presets/model/mine.yaml").write_text("defaults: [transformer\n")


def somebody_runs_it() -> None:
    """Another machine holds the lease of the unfinished run."""
    Path("run/result.json").unlink()
    holder = {"host": "node7", "pid": 1, "started": "1", "job": None, "restart": 0, "heartbeat": time.time()}
    Path("run/lease.json").write_text(json.dumps(holder))
    assert socket.gethostname() != "node7"


def reverse_run() -> None:
    """A model of the other direction, of the same data."""
    languages = ["task.source_lang=de", "task.target_lang=en"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", *TRAIN, *languages, "validation.final_splits=[]", "run.dir=reverse"])
        train.cli()


def other_code() -> None:
    Path("run/result.json").unlink()
    edit_json("run/provenance.json", code={"seqexp": "0"})()


def other_vocabulary() -> None:
    """The prepared data with another order of the vocabulary."""
    path = Path("data/vocabulary.txt")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[1:], lines[0]]))
    manifest = json.loads(Path("data/manifest.json").read_text())
    from seqexp.runtime.files import sha256_of_file

    for record in manifest["vocabularies"].values():
        record["file"]["sha256"] = sha256_of_file(path)
    Path("data/manifest.json").write_text(json.dumps(manifest))


CHECKPOINT = "run/checkpoints/update-00000002"

MISTAKES = [
    # The command line
    Mistake("a misspelt option", "train", ["optimizer.lrr=1"], "unknown key optimizer.lrr; did you mean optimizer.lr?"),
    Mistake(
        "an option without its group", "train", ["dropout=0.3"], "unknown key dropout; did you mean model.dropout?"
    ),
    Mistake("an option that is added", "train", ["+model.width=3"], "unknown key model.width: nothing reads it"),
    Mistake(
        "a misspelt choice",
        "train",
        ["model=transfomer"],
        "model=transfomer is not one of its choices (...); did you mean transformer?",
    ),
    Mistake(
        "an experiment that is not there",
        "train",
        ["experiment=multi30k"],
        "experiment=multi30k is not one of its choices (multi30k_en_de); did you mean multi30k_en_de?",
    ),
    Mistake(
        "text for a number",
        "train",
        ["optimizer.lr=fast"],
        "optimizer.lr: Value 'fast' of type 'str' could not be converted to Float",
    ),
    Mistake(
        "a fraction for a count",
        "train",
        ["batch.max_tokens=1.5"],
        "batch.max_tokens: Value '1.5' of type 'float' could not be converted to Integer",
    ),
    Mistake("a value out of range", "train", ["optimizer.lr=0"], "optimizer.lr=0.0 is not valid: a number above 0"),
    Mistake(
        "a value that is not one of the names",
        "train",
        ["batch.order=random"],
        "batch.order: Invalid value 'random', expected one of [shuffled, by_length, as_is]",
    ),
    Mistake(
        "a bracket that is not closed",
        "train",
        ["validation.splits=[valid"],
        "cannot read the override 'validation.splits=[valid': quote values with special characters twice: "
        "'name=\"two words\"'",
    ),
    Mistake(
        "options that do not go together",
        "train",
        [*TRAIN, "model.encoder.num_heads=5"],
        "model.encoder.num_heads=5 is not valid: it must divide hidden_size=32",
    ),
    Mistake(
        "sides of a model that do not fit",
        "train",
        [*TRAIN, "model.encoder.hidden_size=64"],
        "share_embeddings=all is not valid: it needs encoder.hidden_size=64 equal to the decoder's embedding size 32",
    ),
    Mistake(
        "a metric that nothing computes",
        "train",
        [*TRAIN, "checkpoint.metric=chrf"],
        "checkpoint.metric=chrf is not valid: one of loss, nll_loss, perplexity, bleu",
    ),
    Mistake(
        "a metric whose computation is off",
        "train",
        [*TRAIN, "checkpoint.metric=bleu"],
        "checkpoint.metric=bleu is not valid: it is computed with validation.scores=true only",
    ),
    Mistake(
        "a GPU where there is none",
        "train",
        [*TRAIN, "distributed.device=cuda"],
        "distributed.device=cuda: torch sees no GPU here; use cpu or auto",
    ),
    Mistake(
        "no process at all",
        "train",
        [*TRAIN, "distributed=ddp", "distributed.num_processes=0"],
        "distributed.num_processes=0 is not valid: a count above 0, or null for one for each GPU",
    ),
    Mistake(
        "a mistake that shows in several processes",
        "train",
        [*TRAIN, "distributed=ddp", "distributed.num_processes=2", "checkpoint.continue_from=nothing"],
        "checkpoint.continue_from=nothing is neither the directory of a run nor that of a checkpoint",
    ),
    Mistake(
        "sharded weights of a model that leaves out layers at random",
        "train",
        [*TRAIN, "distributed=fsdp", "distributed.num_processes=2", "model.decoder.layerdrop=0.2"],
        "distributed=fsdp computes all layers in all processes at once, and layerdrop leaves out other ones in each: "
        "take distributed=ddp with distributed.find_unused_parameters=true, or no layerdrop",
    ),
    Mistake(
        "weights moved out of the way by one process",
        "train",
        [*TRAIN, "distributed=fsdp", "distributed.device=cpu", "distributed.cpu_offload=true"],
        "distributed.cpu_offload=true needs several processes: this is one",
    ),
    Mistake(
        "updates of their own for more processes than there are micro-batches",
        "train",
        [*TRAIN, "distributed=local_sgd", "distributed.num_processes=2"],
        "batch.micro_batches=1 is less than the 2 processes, of which each makes updates of its own: give a multiple "
        "of 2",
    ),
    Mistake(
        "looking ahead without a momentum",
        "train",
        [*TRAIN, "distributed=local_sgd", "distributed.nesterov=true"],
        "distributed.nesterov=True is not valid: it needs a momentum above 0",
    ),
    Mistake(
        "gradients approximated by nothing",
        "train",
        [*TRAIN, "distributed=ddp", "distributed.communication.matrix_approximation_rank=0"],
        "distributed.communication.matrix_approximation_rank=0 is not valid: a count above 0",
    ),
    Mistake(
        "a plug-in that is not installed",
        "train",
        ["plugins=[my_models]"],
        "plug-in my_models cannot be imported: No module named 'my_models'",
    ),
    Mistake(
        "a YAML file of one's own with an error in it",
        "train",
        ["--config-dir=presets", "model=mine"],
        ".../presets/model/mine.yaml:2:1: not readable as YAML: expected ',' or ']', but got '<stream end>'",
        lambda: (
            Path("presets/model").mkdir(parents=True),
            write("presets/model/mine.yaml", "defaults: [transformer\n")(),
        ),
    ),
    Mistake(
        "weight decay left out for parameters that the model does not have",
        "train",
        [*TRAIN, "optimizer.no_decay=[norm,encoder.layernorm.*]"],
        "optimizer.no_decay=encoder.layernorm.* matches no parameter of the model; did you mean encoder.layers.*...?",
    ),
    Mistake(
        "an optimizer of groups without groups",
        "train",
        ["task.data=data", "optimizer=composite"],
        "optimizer.groups is empty: a preset names the groups, as conf/optimizer/muon.yaml does",
    ),
    Mistake(
        "one rate for an optimizer that has several",
        "train",
        ["task.data=data", "optimizer=muon", "optimizer.lr=0.02"],
        "unknown key optimizer.lr; did you mean optimizer.groups.matrices.optimizer.lr?",
    ),
    Mistake(
        "a schedule that stands for none",
        "train",
        [*(option for option in TRAIN if "warmup" not in option), "lr_scheduler=pass_through"],
        "lr_scheduler=pass_through gives no rate: it is for optimizer=composite with an lr_scheduler in every group",
    ),
    Mistake(
        "more warm-up and decay than there are updates",
        "train",
        [*TRAIN, "lr_scheduler=warmup_stable_decay"],
        "lr_scheduler.warmup_updates=5 and 1 updates of decay are more than the 2 of the schedule",
    ),
    # Data
    Mistake(
        "data that is not there",
        "train",
        [*TRAIN, "task.data=nowhere"],
        "task.data=nowhere is not there: give a directory made by python -m seqexp.preprocess",
    ),
    Mistake(
        "raw text in place of prepared data",
        "train",
        [*TRAIN, "task.data=text"],
        "task.data=text holds no prepared data: give a directory made by python -m seqexp.preprocess",
    ),
    Mistake(
        "a language that the data does not have",
        "train",
        [*TRAIN, "task.target_lang=fr"],
        "task.target_lang=fr: the data holds en, de",
    ),
    Mistake(
        "a language model of a language that the data lacks",
        "train",
        [*LM, "task.language=fr"],
        "task.language=fr: the data holds en, de",
    ),
    Mistake(
        "sequences longer than the model takes",
        "train",
        [*LM, "model.max_target_positions=16"],
        "task.tokens_per_sample=32 is not valid: the model takes 16 tokens at most; raise model.max_target_positions",
    ),
    Mistake(
        "a translation model to be evaluated as a language model",
        "eval_lm",
        ["run=run"],
        "run=run is no language model; python -m seqexp.validate evaluates it",
    ),
    Mistake(
        "a translation model where a language model is trained",
        "train",
        [*TRAIN, "task=language_modeling"],
        "model: a Transformer does not fit the task, which takes a language model such as model=transformer_lm",
    ),
    Mistake(
        "a language model where translations are wanted",
        "train",
        ["model=transformer_lm", "task.data=data"],
        "model: a TransformerLM does not fit the task, which takes an encoder and decoder such as model=transformer",
    ),
    Mistake(
        "a split that the data does not have",
        "train",
        [*TRAIN, "validation.splits=[dev]"],
        "data: no split 'dev', only train, valid, test",
    ),
    Mistake(
        "a batch too small for the longest example",
        "train",
        [*TRAIN, "batch.max_tokens=5"],
        "batch.max_tokens=5 is smaller than example ..., which has ... tokens: raise it, or limit the length of "
        "examples",
    ),
    Mistake(
        "a batch that is to fit, of no size",
        "train",
        [*TRAIN, "batch.fit=true", "batch.max_tokens=null", "batch.max_sentences=8"],
        "batch.fit=true is not valid: give batch.max_tokens a number with it",
    ),
    Mistake(
        "an update that is to fit and is smaller than an example",
        "train",
        [*TRAIN, "batch.fit=true", "batch.max_tokens=2", "batch.micro_batches=2"],
        "batch.max_tokens=2 x batch.micro_batches=2 is smaller than the longest example, which has ... tokens: raise "
        "it, or limit the length of examples",
    ),
    Mistake(
        "memory for a batch that need not fit",
        "train",
        [*TRAIN, "batch.fit_memory=100"],
        "batch.fit_memory=100 is not valid: it needs batch.fit=true",
    ),
    Mistake(
        "every second block of none",
        "train",
        [*TRAIN, "memory.every_n_blocks=2"],
        "memory.every_n_blocks=2 is not valid: it needs memory.activation_checkpoint=full or selective",
    ),
    Mistake(
        "activations offloaded from a CPU to the CPU",
        "train",
        [*TRAIN, "distributed.device=cpu", "memory.activation_offload=true"],
        "memory.activation_offload=True is not valid: it is for GPUs",
    ),
    Mistake(
        "a negative chunk",
        "train",
        [*TRAIN, "criterion.chunk_size=-1"],
        "criterion.chunk_size=-1 is not valid: a count above 0, 0 for all at once, or null",
    ),
    Mistake(
        "a damaged manifest", "train", TRAIN, "data/manifest.json: not valid JSON: ...", truncate("data/manifest.json")
    ),
    Mistake(
        "a manifest of a later version",
        "train",
        TRAIN,
        "data/manifest.json: format_version=99, this code reads ...; prepare the data again",
        edit_json("data/manifest.json", format_version=99),
    ),
    Mistake(
        "a truncated store",
        "train",
        TRAIN,
        "data/train.de.bin: it has ... bytes where its header says ...; prepare the data again",
        truncate("data/train.de.bin"),
    ),
    Mistake(
        "a store with a flipped bit",
        "train",
        [*TRAIN, "seed=2"],
        "data/train.de.bin: the content differs from the manifest's checksum; prepare the data again",
        flip_last_byte("data/train.de.bin"),
    ),
    Mistake(
        "something else in place of an index",
        "train",
        TRAIN,
        "data/train.en.idx: not an index of token sequences",
        write("data/train.en.idx", b"MMIDIDX" + bytes(100)),
    ),
    Mistake(
        "a vocabulary that was edited",
        "train",
        TRAIN,
        "data/vocabulary.txt: it has ... bytes, the manifest says ...; prepare the data again",
        append("data/vocabulary.txt", "more 1\n"),
    ),
    Mistake(
        "a subword model that is missing",
        "train",
        TRAIN,
        "data/sentencepiece.model: cannot be read: No such file or directory",
        lambda: Path("data/sentencepiece.model").unlink(),
    ),
    # Runs
    Mistake(
        "a file where runs are to be written",
        "train",
        [*TRAIN, "run.root=text/train.en"],
        "run directory text/train.en/default/...: Not a directory; choose another with run.root= or run.dir=",
    ),
    Mistake(
        "a run that another machine is at",
        "train",
        [*TRAIN, "run.dir=run"],
        "run is in use by process 1 on node7: wait for it, end it, or give this run a directory of its own with "
        "run.dir=",
        somebody_runs_it,
    ),
    Mistake(
        "the directory of another run",
        "train",
        [*TRAIN, "run.dir=run", "seed=2"],
        "run holds a run of another config: give run.dir= another name",
    ),
    Mistake(
        "code that changed since the start",
        "train",
        [*TRAIN, "run.dir=run"],
        "run was started with other code (the code of seqexp): run.resume=force goes on with it all the same, "
        "run.rerun=true starts anew in run-2",
        other_code,
    ),
    Mistake(
        "a run that has nothing left to continue",
        "train",
        [*TRAIN, "checkpoint.continue_from=run"],
        f"stop.max_updates=2 is reached by {CHECKPOINT} already: raise it to train longer",
    ),
    Mistake(
        "another optimizer for a run that is continued",
        "train",
        [*TRAIN, "checkpoint.continue_from=run", "stop.max_updates=4", "optimizer=sgd"],
        f"{CHECKPOINT}: its optimizer state is not one of SGD",
    ),
    Mistake(
        "a sweep with one wrong value",
        "train",
        ["--multirun", *TRAIN, "optimizer.lr=-1,0.01"],
        "optimizer.lr=-1.0 is not valid: a number above 0",
        left=["outputs"],
    ),
    Mistake(
        "two ways to begin",
        "train",
        [*TRAIN, "checkpoint.continue_from=run", "checkpoint.finetune_from=run"],
        "checkpoint.finetune_from=run is not valid: it excludes checkpoint.continue_from",
    ),
    Mistake(
        "a model that does not fit the one to begin with",
        "train",
        [*TRAIN, "checkpoint.finetune_from=run", "model.encoder.num_layers=2"],
        f"checkpoint.finetune_from={CHECKPOINT}: encoder.layers.1... is not in the checkpoint; let it begin fresh "
        "with finetune.fresh=[encoder.layers.1...], or all that do not fit with finetune.strict=false",
    ),
    Mistake(
        "frozen parameters in a run that is continued",
        "train",
        [*TRAIN, "checkpoint.continue_from=run", "stop.max_updates=4", "freeze=[encoder.*]"],
        f"{CHECKPOINT}: its optimizer state has other parameters (...); `freeze` must be as it was there, or "
        "begin with the weights alone, by checkpoint.finetune_from",
    ),
    Mistake(
        "an option of a moving average that is not kept",
        "train",
        [*TRAIN, "ema.start_update=100"],
        "ema.start_update=100 is not valid: it needs ema.decay",
    ),
    # Using what was trained
    Mistake(
        "a run that is not there",
        "generate",
        ["run=runs/1"],
        "run=runs/1 is not the directory of a run: it holds no config.json",
    ),
    Mistake(
        "a run without a checkpoint",
        "generate",
        ["run=run"],
        "run=run has no checkpoint yet",
        lambda: shutil.rmtree(CHECKPOINT),
    ),
    Mistake(
        "a checkpoint that is not there",
        "generate",
        ["run=run", "checkpoint=7"],
        "checkpoint=7 is not there; give one of best, last, 2",
    ),
    Mistake(
        "truncated weights",
        "generate",
        ["run=run"],
        f"{CHECKPOINT}/model.safetensors: differs from what was saved; the checkpoint is damaged",
        truncate(f"{CHECKPOINT}/model.safetensors"),
    ),
    Mistake(
        "a checkpoint of a later version",
        "generate",
        ["run=run"],
        f"{CHECKPOINT}: format version 99, and this version of seqexp reads ...",
        edit_json(f"{CHECKPOINT}/checkpoint.json", format_version=99),
    ),
    Mistake(
        "a damaged description of a checkpoint",
        "generate",
        ["run=run"],
        f"{CHECKPOINT}/checkpoint.json: damaged: ...",
        truncate(f"{CHECKPOINT}/checkpoint.json"),
    ),
    Mistake(
        "a damaged config of a run",
        "validate",
        ["run=run"],
        "run/config.json: damaged: ...",
        truncate("run/config.json"),
    ),
    Mistake(
        "a config that names code outside the catalog",
        "generate",
        ["run=run"],
        "component os:system is not in the catalog; if you trust that code, name it: trust=[os:system]",
        edit_json("run/config.json", task={"component": "os:system"}),
    ),
    Mistake(
        "a config that names an importable path",
        "generate",
        ["run=run"],
        "run/config.json: not a config that this version of seqexp can read: key _target_: components go by catalog "
        "name",
        edit_json("run/config.json", task={"_target_": "os.system"}),
    ),
    Mistake(
        "data that moved",
        "generate",
        ["run=run"],
        "task.data=data is not there; say where it is now with task.data=",
        move("data", "elsewhere"),
    ),
    Mistake(
        "data with another vocabulary",
        "generate",
        ["run=run"],
        "task.data=data: its vocabularies or text stages differ from those of the model",
        other_vocabulary,
    ),
    Mistake(
        "dropout kept where there is none",
        "generate",
        ["run=run", "keep_dropout=[decoder.*,encodr.*]"],
        "keep_dropout=encodr.* matches no module with dropout of the model; did you mean encoder.*, ...?",
    ),
    Mistake(
        "a number for the names of modules",
        "interactive",
        ["run=run", "keep_dropout=0.1"],
        "keep_dropout=0.1 is not valid: true, false or a list of patterns such as [decoder.*]",
    ),
    Mistake(
        "dropout kept in an engine that has none",
        "generate",
        ["run=run", "engine=ctranslate2", "keep_dropout=true"],
        "keep_dropout=* needs engine=torch",
    ),
    Mistake(
        "a dictionary for unknown words that is not there",
        "generate",
        ["run=run", "replace_unknown=dictionary"],
        "replace_unknown=dictionary cannot be read: No such file or directory",
    ),
    Mistake(
        "a dictionary for unknown words with one column",
        "generate",
        ["run=run", "replace_unknown=dictionary"],
        "replace_unknown=dictionary: line 2 has 1 columns; give two, a token of the source and one of the target",
        write("dictionary", "one eins\ntwo\n"),
    ),
    Mistake(
        "an alignment that the format does not have",
        "interactive",
        ["run=run", "alignment=soft"],
        "alignment=soft is not valid: it needs format=fairseq",
    ),
    Mistake(
        "an alignment by a search that gives none",
        "generate",
        ["run=run", "generator=mbr", "alignment=soft", "format=fairseq"],
        "alignment=soft is not valid: MBRConfig has no option return_attention",
    ),
    Mistake(
        "a search that the engine does not have",
        "generate",
        ["run=run", "engine=ctranslate2", "generator.temperature=0.5"],
        "generator.temperature=0.5 is nothing that engine=ctranslate2 can do: leave it 1.0, or take engine=torch",
    ),
    Mistake(
        "a number format that the processor does not have",
        "generate",
        ["run=run", "engine=ctranslate2", "engine.compute_type=float16"],
        "engine.compute_type=float16 is not valid: this cpu has ...",
    ),
    Mistake(
        "an ensemble with a model of the other direction",
        "generate",
        ["run=[run,reverse]"],
        "reverse/checkpoints/update-00000002 is a model of de-en, and run/checkpoints/update-00000002 one of en-de: "
        "they cannot vote",
        spoil=reverse_run,
    ),
    Mistake(
        "an ensemble in an engine for one model",
        "generate",
        ["run=[run,run]", "engine=ctranslate2"],
        "engine=ctranslate2 is not valid: it runs one model, not 2",
    ),
    Mistake(
        "an export over something else",
        "export",
        ["run=run", "output=text"],
        "output=text holds something else already; give another name",
    ),
    Mistake(
        "an export compared on a split that is not there",
        "export",
        ["run=run", "split=nothing", "output=exported"],
        "data: no split 'nothing', only train, valid, test",
    ),
    Mistake(
        "a number format that only CTranslate2 has",
        "export",
        ["run=run", "format=onnx", "quantization=int8"],
        "quantization=int8 is not valid: format=onnx is written in float32",
    ),
    Mistake(
        "a port that does not exist",
        "serve",
        ["run=run", "port=70000"],
        "port=70000 is not valid: a number from 0 to 65535",
    ),
    Mistake(
        "a file to translate that is not there",
        "generate",
        ["run=run", "input=nothing.txt"],
        "input=nothing.txt cannot be read: No such file or directory",
    ),
    Mistake(
        "a file to translate in another encoding",
        "generate",
        ["run=run", "input=latin.txt"],
        "input=latin.txt: line 2 is not valid UTF-8",
        write("latin.txt", b"one\nf\xfcnf\n"),
    ),
    Mistake(
        "an option that the run's generator does not have",
        "generate",
        ["run=run", "generator.beam=3"],
        "unknown key generator.beam; did you mean generator.beam_size?",
    ),
    Mistake(
        "a length that the model cannot reach",
        "generate",
        ["run=run", "generator.min_length=2000"],
        "generator.min_length=2000 is not valid: the model allows 1023 at most",
    ),
    Mistake(
        "groups that do not divide the beams",
        "generate",
        ["run=run", "generator=diverse_beam", "generator.beam_size=4"],
        "generator.num_groups=5 is not valid: it must divide beam_size=4",
    ),
    Mistake(
        "a token to suppress that the vocabulary does not have",
        "generate",
        ["run=run", "generator.tokens_to_suppress=[unheard]"],
        "generator.tokens_to_suppress=unheard is not valid: give tokens of the vocabulary, not </s>",
    ),
    Mistake(
        "a translation model as a language model",
        "generate",
        ["run=run", "generator.lm=run"],
        "generator.lm=run is a Transformer; give a language model",
    ),
    Mistake(
        "a language model in training",
        "train",
        [*[option for option in TRAIN if option != "validation.scores=false"], "generator.lm=run"],
        "generator.lm=run: training validates without a language model; give it to generate",
    ),
    Mistake(
        "first words of references that are not there",
        "generate",
        ["run=run", "input=text/test.en", "generator.prefix_size=2"],
        "generator.prefix_size: raw text has no references whose first words could be given",
    ),
    Mistake(
        "a constraint with an unknown letter",
        "interactive",
        ["run=run", "generator=constrained_beam"],
        "constraint 'Ω': the vocabulary lacks a word of it",
        input="one two.\tΩ\n".encode(),
    ),
    Mistake(
        "a split to evaluate on that is not there",
        "validate",
        ["run=run", "splits=[dev]"],
        "data: no split 'dev', only train, valid, test",
    ),
    Mistake(
        "standard input in another encoding",
        "interactive",
        ["run=run"],
        "standard input: line 1 is not valid UTF-8",
        input=b"f\xfcnf\n",
    ),
    Mistake(
        "references of another length than the text",
        "generate",
        ["run=run", "input=text/test.en", "references=text/valid.de"],
        "references=text/valid.de has 20 lines, and there are 15 sentences to translate",
    ),
    Mistake(
        "a share that there is not",
        "generate",
        ["run=run", "shard=3/2"],
        "shard=3/2 is not valid: i/n with i from 1 to n, such as 2/8",
    ),
    Mistake(
        "a share that is to be translated again",
        "generate",
        ["run=run", "shard=1/2", "rerun=true"],
        "rerun=True is not valid: it would delete what other shards have translated; delete the directory instead",
    ),
    Mistake(
        "no process to translate",
        "generate",
        ["run=run", "num_processes=0"],
        "num_processes=0 is not valid: a count above 0, or null",
    ),
    Mistake(
        "standard input in another encoding, as a whole",
        "generate",
        ["run=run", "input=-"],
        "standard input: line 2 is not valid UTF-8",
        input=b"one\nf\xfcnf\n",
    ),
    Mistake(
        "scores in front of what has them",
        "interactive",
        ["run=run", "format=jsonl", "scores=true"],
        "scores=True is not valid: format=jsonl has them anyway",
    ),
    Mistake(
        "no model to rank hypotheses with",
        "rerank",
        ["hypotheses=text/test.en"],
        "channel and lm are both null: give a model of the other direction, a language model or both",
    ),
    Mistake(
        "plain text to be ranked",
        "rerank",
        ["hypotheses=text/test.en", "channel=run"],
        "hypotheses=text/test.en: line 1 is not one of generate's hypotheses.jsonl",
    ),
    Mistake(
        "a translation model as a language model, to rank with",
        "rerank",
        ["hypotheses=run/nbest.jsonl", "lm=run"],
        "lm=run is no language model",
        write("run/nbest.jsonl", '{"source": "one", "hypotheses": []}\n'),
    ),
    Mistake(
        "hypotheses and references of unequal length",
        "score",
        ["hypotheses=text/test.en", "references=text/valid.de"],
        "references=text/valid.de has 20 lines and hypotheses=text/test.en has 15: they must have one line for each "
        "sentence",
    ),
    Mistake(
        "references that are not there",
        "score",
        ["hypotheses=text/test.en", "references=text/test.fr"],
        "references=text/test.fr cannot be read: No such file or directory",
    ),
    Mistake(
        "an empty file of hypotheses",
        "score",
        ["hypotheses=empty", "references=empty"],
        "hypotheses=empty is empty",
        write("empty", ""),
    ),
    Mistake(
        "a tokenizer that sacrebleu does not have",
        "score",
        ["hypotheses=text/test.en", "references=text/test.de", "scorer.bleu.tokenize=moses"],
        "scorer.bleu.tokenize=moses is not valid: use one of ...",
    ),
    Mistake(
        "a test of a single system",
        "score",
        ["hypotheses=text/test.en", "references=text/test.de", "significance=paired_bootstrap"],
        "significance=paired_bootstrap is not valid: several hypotheses=[...,...] are compared",
    ),
    Mistake(
        "a baseline that is not among the systems",
        "score",
        [
            "hypotheses=[text/test.en,text/test.de]",
            "references=text/test.de",
            "significance=paired_bootstrap",
            "baseline=text/valid.en",
        ],
        "baseline=text/valid.en is not valid: one of hypotheses=text/test.en,text/test.de",
    ),
    Mistake(
        "a baseline without a test",
        "score",
        ["hypotheses=text/test.en", "references=text/test.de", "baseline=text/test.en"],
        "baseline=text/test.en is not valid: it needs a test, significance=paired_bootstrap",
    ),
    Mistake(
        "the same system twice",
        "score",
        ["hypotheses=[text/test.en,text/test.en]", "references=text/test.de"],
        "hypotheses=text/test.en is not valid: it is there twice",
    ),
    Mistake(
        "systems of unequal length",
        "score",
        ["hypotheses=[text/test.en,text/valid.en]", "references=text/test.de"],
        "hypotheses=text/valid.en has 20 lines and hypotheses=text/test.en has 15: they must have one line for each "
        "sentence",
    ),
    Mistake(
        "a kind of ROUGE that there is not",
        "score",
        ["hypotheses=text/test.en", "references=text/test.de", "scorer=[rouge]", "scorer.rouge.kind=rougeX"],
        "scorer.rouge.kind=rougeX is not valid: use rouge1 to rouge9 or rougeL",
    ),
    Mistake(
        "a command without what it needs",
        "score",
        ["hypotheses=text/test.en"],
        "missing: give a value for references=...",
    ),
    Mistake(
        "a folder of runs that is not there",
        "runs",
        ["root=nowhere"],
        "root=nowhere is not there: no run has written to it",
    ),
    Mistake(
        "a run to show that is not named",
        "runs",
        ["action=show"],
        "run=None is not valid: action=show, and only that, needs a run's directory",
    ),
    Mistake(
        "an option of another program",
        "train",
        ["--lr", "0.1"],
        "unknown flag --lr: options are written optimizer.lr=value",
    ),
    Mistake(
        "an argument without a key",
        "generate",
        ["outputs/default/1"],
        "cannot read the override 'outputs/default/1': write key=value, such as run=outputs/default/...",
    ),
    Mistake(
        "a last split that the data does not have",
        "train",
        [*TRAIN, "validation.final_splits=[tset]"],
        "validation.final_splits: the data has no split 'tset', only train, valid, test",
    ),
    Mistake(
        "results over something else",
        "generate",
        ["run=run", "output=text"],
        "output=text holds something else already; give another name",
    ),
    Mistake(
        "a file for a directory",
        "generate",
        ["run=run", "output=text/test.en"],
        "output=text/test.en is a file; give the name of a directory",
    ),
    Mistake(
        "nothing to score with",
        "score",
        ["hypotheses=text/test.en", "references=text/test.de", "scorer=[]"],
        "scorer=[] is not valid: at least one",
    ),
    Mistake(
        "something else to continue",
        "train",
        [*TRAIN, "checkpoint.continue_from=run/checkpoints"],
        "checkpoint.continue_from=run/checkpoints is neither the directory of a run nor that of a checkpoint",
    ),
    Mistake(
        "more checkpoints to average than there are",
        "average",
        ["run=run", "last=5"],
        "last=5: only 1 checkpoints were kept; run has 2, and checkpoint.keep_last says how many a run keeps",
    ),
    Mistake(
        "two choices of what to average",
        "average",
        ["run=run", "last=1", "best=1"],
        "best=1 is not valid: give one of last, best, updates, checkpoints, not last=1, best=1 together",
    ),
    Mistake(
        "a moving average that nobody kept",
        "generate",
        ["run=run", "weights=averaged"],
        f"{CHECKPOINT} has no moving average: it was trained without ema.decay",
    ),
    Mistake(
        "deleting without saying what",
        "runs",
        ["action=clean"],
        "status=[] is not valid: action=clean needs the kinds of run to delete, e.g. status=[failed,interrupted]",
    ),
]
