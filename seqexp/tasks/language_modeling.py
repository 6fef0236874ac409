"""Language modelling: running text, each token predicted from those before it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from seqexp.config.base import require
from seqexp.config.build import build
from seqexp.criterions.base import Criterion, CriterionConfig
from seqexp.data.block_split import BlockOptions, BlockSplit, Targets
from seqexp.data.blocks import Blocks, Shorten
from seqexp.data.encoding import FieldText
from seqexp.data.fields import find_split, open_field
from seqexp.data.indexed import Integers, TokenStore
from seqexp.data.padding import NO_PADDING, Padding, Widths
from seqexp.data.pairs import LongExamples
from seqexp.data.prompts import PromptSplit
from seqexp.data.stages import Catalog, load_stages, load_vocabulary
from seqexp.data.text import lines_of
from seqexp.data.vocabulary import Vocabulary
from seqexp.generators.base import Generator, GeneratorConfig, make_generator
from seqexp.models.base import LanguageModel, Model, ModelConfig
from seqexp.runtime.errors import UserError
from seqexp.tasks.base import TaskConfig
from seqexp.tasks.prepared import PreparedTask, build_model


@dataclass
class LanguageModelingConfig(TaskConfig):
    """The text of one language; without `data`, English by a grammar that seqexp brings along."""

    _target_: str = "seqexp.tasks.language_modeling.LanguageModelingTask"
    language: str | None = None
    """Which language of the data; null: its only one, or the source of a parallel corpus."""
    blocks: Blocks = Blocks.none
    """Where the sequences that the model sees begin and end. `none` wastes nothing; `eos` is one line each."""
    tokens_per_sample: int = 1024
    """Most tokens of a sequence; with `eos`, of no effect but on `shorten`."""
    shorten: Shorten = Shorten.none
    """What becomes of lines longer than `tokens_per_sample`, before blocks are made."""
    shorten_splits: list[str] = field(default_factory=list)
    """Splits in which lines are shortened; empty: all."""
    targets: Targets = Targets.future
    """Which token is predicted after each that is read."""
    add_bos: bool = False
    """Each sequence begins with `<s>` instead of what stands before it in the text."""
    pad_to_fixed_length: bool = False
    """Pad every training batch to `tokens_per_sample`."""
    too_long: LongExamples = LongExamples.error
    """What becomes of training sequences longer than the model's positions. In other splits all are kept, and cut."""
    embedded_data: str = "data-bin/embedded"
    """Where the embedded corpus is put when there is no `data`."""

    def __post_init__(self) -> None:
        require(self.tokens_per_sample > 1, "tokens_per_sample", self.tokens_per_sample, "more than 1")
        unused = self.shorten_splits and self.shorten is Shorten.none
        require(not unused, "shorten_splits", self.shorten_splits, "it needs task.shorten=truncate or random_crop")

    def block_options(self, split: str) -> BlockOptions:
        is_shortened = not self.shorten_splits or split in self.shorten_splits
        return BlockOptions(
            blocks=self.blocks,
            size=self.tokens_per_sample,
            shorten=self.shorten if is_shortened else Shorten.none,
            targets=self.targets,
            add_bos=self.add_bos,
        )


class LanguageModelingTask(PreparedTask):
    """A text, its vocabulary and its text stages."""

    config: LanguageModelingConfig

    def __init__(
        self,
        config: LanguageModelingConfig,
        *,
        components: Catalog,
        trust: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        """The arguments are those of `PreparedTask`.

        Raises:
            UserError: there is no prepared data, or it does not hold the language.
        """
        super().__init__(config, config.embedded_data, components=components, trust=trust, directory=directory)
        self.language = config.language or self.manifest.source
        if self.language not in self.manifest.fields:
            raise UserError(f"task.language={self.language}: the data holds {', '.join(self.manifest.fields)}")
        self.languages = (self.language,)
        self.vocabulary = load_vocabulary(self.directory, self.manifest, self.language)
        self.stages = load_stages(self.directory, self.manifest, self.language, components, trust)
        self._texts: dict[str, TokenStore] = {}

    def vocabularies(self) -> dict[str, Vocabulary]:
        return {"target": self.vocabulary}

    def load_split(
        self, name: str, model: Model, *, for_training: bool = False, padding: Padding = NO_PADDING
    ) -> BlockSplit:
        assert isinstance(model, LanguageModel)
        most, size = model.max_target_positions, self.config.tokens_per_sample
        right = f"the model takes {most} tokens at most; raise model.max_target_positions"
        require(self.config.blocks is Blocks.eos or size <= most, "task.tokens_per_sample", size, right)
        split = BlockSplit.make(name, self.stored_text(name), self.vocabulary, self.config.block_options(name))
        if not for_training:
            return split.limited(most, LongExamples.truncate)
        split = split.limited(most, self.config.too_long).padded(padding, most)
        if self.config.pad_to_fixed_length:
            split = split.with_widths(Widths(multiple=size, longest=size))
        return split

    def stored_text(self, name: str, blocks: Blocks | None = None) -> TokenStore:
        """The text of a split, a sequence a line, to be cut into `blocks`; None: as the config says.

        Raises:
            UserError: there is no such split, or documents are wanted whose ends were dropped.
        """
        record = find_split(self.directory, self.manifest, name)
        if (blocks or self.config.blocks) is Blocks.complete_doc and "empty" in record.dropped:
            raise UserError(
                f"blocks=complete_doc: {self.directory} lacks the blank lines that end the documents of {name}; "
                "prepare it again with lines.empty=keep"
            )
        if name not in self._texts:  # one that must be encoded for it is kept for the next time
            encoding = FieldText.of(self.directory, self.manifest, name, self.language, self._components, self._trust)
            self._texts[name] = open_field(self.directory, name, record, self.language, encoding)
        return self._texts[name]

    def raw_text(self, name: str) -> list[str]:
        """The lines of a split before all stages."""
        record = find_split(self.directory, self.manifest, name)
        return list(lines_of(self.directory / record.fields[self.language].raw.name))

    def indices(self, lines: Sequence[str]) -> list[Integers]:
        """Raw text as it is stored, each line ending in `</s>`."""
        return [self.vocabulary.encode(tokens.split()) for tokens in self.stages.encode_lines(list(lines))]

    def encode(self, lines: Sequence[str]) -> PromptSplit:
        """Beginnings of texts, for a model to go on with."""
        first = self.vocabulary.bos if self.config.add_bos else self.vocabulary.eos
        return PromptSplit(list(lines), [np.append(first, line[:-1]) for line in self.indices(lines)])

    def decode(self, tokens: Tensor) -> str:
        words = [word for word in self.symbols(tokens) if word not in ("<s>", "<pad>", "</s>")]
        return self.stages.decode(" ".join(words))

    def symbols(self, tokens: Tensor) -> list[str]:
        return [self.vocabulary[index] for index in tokens.tolist()]

    def build_model(self, config: ModelConfig) -> Model:
        return build_model(
            config,
            LanguageModel,
            "a language model such as model=transformer_lm",
            vocabulary_size=len(self.vocabulary),
            padding_index=self.vocabulary.pad,
        )

    def build_criterion(self, config: CriterionConfig) -> Criterion:
        criterion: Criterion = build(config, padding_index=self.vocabulary.pad)
        return criterion

    def build_generator(self, config: GeneratorConfig) -> Generator:
        return make_generator(config, self.vocabulary, self.decode)
