"""Everything that a config can name: `{group: {name: "module:ConfigClass"}}`.

Strings, so that reading this table imports nothing. One line here makes a component known.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module

from seqexp.config.base import ComponentConfig
from seqexp.config.mistakes import nearest
from seqexp.runtime.errors import UserError

CATALOG: dict[str, dict[str, str]] = {
    "task": {
        "language_modeling": "seqexp.tasks.language_modeling:LanguageModelingConfig",
        "translation": "seqexp.tasks.translation:TranslationConfig",
    },
    "model": {
        "transformer": "seqexp.models.transformer:TransformerConfig",
        "transformer_lm": "seqexp.models.transformer_lm:TransformerLMConfig",
    },
    "criterion": {
        "adaptive_loss": "seqexp.criterions.adaptive_loss:AdaptiveLossConfig",
        "cross_entropy": "seqexp.criterions.cross_entropy:CrossEntropyConfig",
        "label_smoothed_cross_entropy": "seqexp.criterions.label_smoothed_cross_entropy:LabelSmoothedCrossEntropyConfig",
    },
    "optimizer": {
        "adadelta": "seqexp.optimizers.adadelta:AdadeltaConfig",
        "adafactor": "seqexp.optimizers.adafactor:AdafactorConfig",
        "adagrad": "seqexp.optimizers.adagrad:AdagradConfig",
        "adam": "seqexp.optimizers.adam:AdamConfig",
        "adam_fairseq": "seqexp.optimizers.adam_fairseq:AdamFairseqConfig",
        "adamax": "seqexp.optimizers.adamax:AdamaxConfig",
        "adamw": "seqexp.optimizers.adamw:AdamWConfig",
        "adamw_8bit": "seqexp.optimizers.adamw_8bit:AdamW8bitConfig",
        "composite": "seqexp.optimizers.composite:CompositeConfig",
        "cpu_adam": "seqexp.optimizers.cpu_adam:CPUAdamConfig",
        "lamb": "seqexp.optimizers.lamb:LambConfig",
        "lion": "seqexp.optimizers.lion:LionConfig",
        "muon": "seqexp.optimizers.muon:MuonConfig",
        "nag": "seqexp.optimizers.nag:NAGConfig",
        "schedule_free": "seqexp.optimizers.schedule_free:ScheduleFreeConfig",
        "sgd": "seqexp.optimizers.sgd:SGDConfig",
    },
    "lr_scheduler": {
        "constant": "seqexp.lr_schedulers.constant:ConstantConfig",
        "cosine": "seqexp.lr_schedulers.cosine:CosineConfig",
        "fixed": "seqexp.lr_schedulers.fixed:FixedConfig",
        "inverse_sqrt": "seqexp.lr_schedulers.inverse_sqrt:InverseSqrtConfig",
        "manual": "seqexp.lr_schedulers.manual:ManualConfig",
        "one_cycle": "seqexp.lr_schedulers.one_cycle:OneCycleConfig",
        "pass_through": "seqexp.lr_schedulers.pass_through:PassThroughConfig",
        "polynomial_decay": "seqexp.lr_schedulers.polynomial_decay:PolynomialDecayConfig",
        "reduce_lr_on_plateau": "seqexp.lr_schedulers.reduce_lr_on_plateau:ReduceLROnPlateauConfig",
        "step": "seqexp.lr_schedulers.step:StepConfig",
        "tri_stage": "seqexp.lr_schedulers.tri_stage:TriStageConfig",
        "triangular": "seqexp.lr_schedulers.triangular:TriangularConfig",
        "warmup_stable_decay": "seqexp.lr_schedulers.warmup_stable_decay:WarmupStableDecayConfig",
    },
    "precision": {
        "bf16": "seqexp.precisions.bf16:BF16Config",
        "bf16_master": "seqexp.precisions.bf16_master:BF16MasterConfig",
        "bf16_memory_efficient": "seqexp.precisions.bf16_memory_efficient:BF16MemoryEfficientConfig",
        "fp16": "seqexp.precisions.fp16:FP16Config",
        "fp32": "seqexp.precisions.fp32:FP32Config",
        "fp64": "seqexp.precisions.fp64:FP64Config",
    },
    "distributed": {
        "ddp": "seqexp.distributed.ddp:DDPConfig",
        "single": "seqexp.distributed.single:SingleConfig",
        "zero": "seqexp.distributed.zero:ZeROConfig",
        "fsdp": "seqexp.distributed.fsdp:FSDPConfig",
        "local_sgd": "seqexp.distributed.local_sgd:LocalSGDConfig",
    },
    "generator": {
        "beam": "seqexp.generators.beam:BeamSearchConfig",
        "constrained_beam": "seqexp.generators.constrained_beam:ConstrainedBeamConfig",
        "diverse_beam": "seqexp.generators.diverse_beam:DiverseBeamConfig",
        "diverse_siblings": "seqexp.generators.diverse_siblings:DiverseSiblingsConfig",
        "greedy": "seqexp.generators.greedy:GreedyConfig",
        "mbr": "seqexp.generators.mbr:MBRConfig",
        "sampling": "seqexp.generators.sampling:SamplingConfig",
    },
    "engine": {
        "ctranslate2": "seqexp.engines.ctranslate2:CTranslate2EngineConfig",
        "torch": "seqexp.engines.torch:TorchConfig",
    },
    "scorer": {
        "bert_score": "seqexp.scorers.bert_score:BERTScoreConfig",
        "bleu": "seqexp.scorers.bleu:BLEUConfig",
        "chrf": "seqexp.scorers.chrf:ChrFConfig",
        "meteor": "seqexp.scorers.meteor:METEORConfig",
        "rouge": "seqexp.scorers.rouge:ROUGEConfig",
        "ter": "seqexp.scorers.ter:TERConfig",
        "wer": "seqexp.scorers.wer:WERConfig",
    },
    "tracker": {
        "mlflow": "seqexp.trackers.mlflow:MLflowConfig",
        "tensorboard": "seqexp.trackers.tensorboard:TensorBoardConfig",
    },
    "corpus": {
        "embedded": "seqexp.corpora.embedded:EmbeddedCorpusConfig",
        "parallel": "seqexp.corpora.parallel:ParallelCorpusConfig",
        "text": "seqexp.corpora.text:TextCorpusConfig",
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


def extend(additions: Mapping[str, Mapping[str, str]], provider: str) -> None:
    """Add the components of a plug-in; adding the same once more changes nothing.

    Raises:
        UserError: a group does not exist, or a name is another component's already.
    """
    for group, components in additions.items():
        if group not in CATALOG:
            raise UserError(f"plug-in {provider}: there is no group {group!r}{nearest(group, CATALOG)}")
        for name, location in components.items():
            if CATALOG[group].setdefault(name, location) != location:
                raise UserError(
                    f"plug-in {provider}: {group}={name} is taken by {CATALOG[group][name]}; give it another name"
                )


def import_config(location: str) -> type[ComponentConfig]:
    """The config class at `module:Class`.

    Raises:
        UserError: there is none.
    """
    module, _, name = location.partition(":")
    try:
        found: type[ComponentConfig] = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"component {location} cannot be imported: {error}") from error
    return found


def config_class(component: str, trust: Sequence[str] = ()) -> type[ComponentConfig]:
    """The config class of a name in a saved config: one of the catalog's, such as `model/transformer`, or a
    `module:Class` that the user names in `trust`.

    Raises:
        UserError: it is neither; nothing is imported then.
    """
    group, _, name = component.partition("/")
    location = CATALOG.get(group, {}).get(name)
    if location is None and component in trust:
        location = component
    if location is None:
        advice = (
            f"if you trust that code, name it: trust=[{component}]"
            if ":" in component
            else "give plugins=[...] if a plug-in brings it"
        )
        raise UserError(f"component {component} is not in the catalog; {advice}")
    return import_config(location)


def component_name(config_class: type) -> str:
    """The catalog name of a config class; `module:Class` for one from outside the catalog."""
    location = f"{config_class.__module__}:{config_class.__qualname__}"
    for group, components in CATALOG.items():
        for name, known in components.items():
            if known == location:
                return f"{group}/{name}"
    return location
