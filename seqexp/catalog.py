"""Everything that a config can name: `{group: {name: "module:ConfigClass"}}`.

Strings, so that reading this table imports nothing. One line here makes a component known.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from seqexp.config.base import ComponentConfig
from seqexp.runtime.errors import UserError

CATALOG: dict[str, dict[str, str]] = {
    "task": {
        "translation": "seqexp.tasks.translation:TranslationConfig",
    },
    "model": {
        "transformer": "seqexp.models.transformer:TransformerConfig",
    },
    "criterion": {
        "cross_entropy": "seqexp.criterions.cross_entropy:CrossEntropyConfig",
        "label_smoothed_cross_entropy": "seqexp.criterions.label_smoothed_cross_entropy:LabelSmoothedCrossEntropyConfig",
    },
    "optimizer": {
        "adam": "seqexp.optimizers.adam:AdamConfig",
        "adamw": "seqexp.optimizers.adamw:AdamWConfig",
        "sgd": "seqexp.optimizers.sgd:SGDConfig",
    },
    "lr_scheduler": {
        "constant": "seqexp.lr_schedulers.constant:ConstantConfig",
        "cosine": "seqexp.lr_schedulers.cosine:CosineConfig",
        "inverse_sqrt": "seqexp.lr_schedulers.inverse_sqrt:InverseSqrtConfig",
        "polynomial_decay": "seqexp.lr_schedulers.polynomial_decay:PolynomialDecayConfig",
    },
    "precision": {
        "fp32": "seqexp.training.precision:FP32Config",
    },
    "distributed": {
        "single": "seqexp.distributed.single:SingleConfig",
    },
    "generator": {
        "beam": "seqexp.generators.beam:BeamSearchConfig",
        "greedy": "seqexp.generators.greedy:GreedyConfig",
    },
    "scorer": {
        "bleu": "seqexp.scorers.bleu:BLEUConfig",
        "chrf": "seqexp.scorers.chrf:ChrFConfig",
        "ter": "seqexp.scorers.ter:TERConfig",
    },
    "corpus": {
        "embedded": "seqexp.corpora.embedded:EmbeddedCorpusConfig",
        "parallel": "seqexp.corpora.parallel:ParallelCorpusConfig",
    },
    "tokenizer": {
        "moses": "seqexp.tokenizers.moses:MosesConfig",
        "nltk": "seqexp.tokenizers.nltk:NLTKConfig",
        "whitespace": "seqexp.tokenizers.whitespace:WhitespaceConfig",
    },
    "subword": {
        "bert": "seqexp.tokenizers.bert:BertConfig",
        "byte_bpe": "seqexp.tokenizers.byte_bpe:ByteBPEConfig",
        "bytes": "seqexp.tokenizers.bytes:BytesConfig",
        "characters": "seqexp.tokenizers.characters:CharactersConfig",
        "fastbpe": "seqexp.tokenizers.fastbpe:FastBPEConfig",
        "gpt2": "seqexp.tokenizers.gpt2:GPT2Config",
        "huggingface": "seqexp.tokenizers.huggingface:HuggingFaceConfig",
        "none": "seqexp.tokenizers.whitespace:WhitespaceConfig",
        "sentencepiece": "seqexp.tokenizers.sentencepiece:SentencePieceConfig",
        "subword_nmt": "seqexp.tokenizers.subword_nmt:SubwordNMTConfig",
    },
}


def schemas(*groups: str) -> dict[str, dict[str, Callable[[], type]]]:
    """For each component of the groups that a command needs, what imports its config class."""
    return {
        group: {name: partial(import_config, location) for name, location in CATALOG[group].items()} for group in groups
    }


def import_config(location: str) -> type[ComponentConfig]:
    """The config class at `module:Class`."""
    module, name = location.split(":")
    config_class: type[ComponentConfig] = getattr(import_module(module), name)
    return config_class


def config_class(component: str) -> type[ComponentConfig]:
    """The config class of a catalog name such as `model/transformer`. Raises UserError where there is none."""
    group, _, name = component.partition("/")
    try:
        return import_config(CATALOG[group][name])
    except KeyError:
        raise UserError(f"component {component!r} is not in the catalog of this version of seqexp") from None


def component_name(config_class: type) -> str:
    """The catalog name of a config class; `module:Class` for one from outside the catalog."""
    location = f"{config_class.__module__}:{config_class.__qualname__}"
    for group, components in CATALOG.items():
        for name, known in components.items():
            if known == location:
                return f"{group}/{name}"
    return location
