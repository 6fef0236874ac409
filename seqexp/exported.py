"""Directories that `export` writes, and their text for programs that run the model in them.

<output>/
    model/        the model, as the format has it
    task/         manifest, vocabularies and the files of the text stages
    config.json   saved configs of task and model
    export.json   what was exported into which format, and how far it is from the original; size and hash of each file
    README.md     how to use it
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqexp import __version__
from seqexp.checkpoint.layout import Checkpoint
from seqexp.data.batch import PairBatch
from seqexp.formats.base import Format, Vocabularies
from seqexp.formats.checked import Agreement, write_checked
from seqexp.models.base import Seq2SeqModel
from seqexp.plugins import load_plugins
from seqexp.pretrained import load_task
from seqexp.runtime.files import atomic_directory, sha256_of_file, write_json, write_text
from seqexp.tasks.base import Task

README = """\
# {name}

A translation model, exported from seqexp {version} as `{name}`. In Python, where `folder` is this directory:

```python
from seqexp.exported import load_text

text = load_text("folder")
{usage}
```

Without seqexp: `task/manifest.json` names the text stages in order and their files; the tokens that the model reads and
writes are numbered by `task/vocabulary*.txt`, one a line, the first of which has number 4, after `<s>`, `<pad>`,
`</s>`, `<unk>`. Sources end in `</s>`, and the first token that the decoder is given is `</s>` too.
"""


@dataclass
class ExportedText:
    """Text stages and vocabularies of an exported model."""

    task: Task

    def __post_init__(self) -> None:
        words = self.task.vocabularies()
        self.vocabularies = Vocabularies(words["source"], words["target"])
        self.end = self.vocabularies.target.eos
        """Index of `</s>`, the decoder's first input and last output."""

    def indices(self, sentences: Sequence[str]) -> NDArray[np.int64]:
        """Source tokens of sentences, int64 [B, S]; each row ends in `</s>`, and then padding."""
        batch = self.task.encode(sentences).collate(np.arange(len(sentences)))
        assert isinstance(batch, PairBatch)
        found: NDArray[np.int64] = batch.source_tokens.numpy()
        return found

    def tokens(self, sentences: Sequence[str]) -> list[list[str]]:
        """Source tokens of sentences by name, without `</s>`."""
        vocabulary = self.vocabularies.source
        unused = (vocabulary.pad, vocabulary.eos)
        return [[vocabulary[int(index)] for index in row if index not in unused] for row in self.indices(sentences)]

    def text_of_tokens(self, tokens: Sequence[str]) -> str:
        """The text of target tokens given by name."""
        return self.text_of_indices([self.vocabularies.target.index(token) for token in tokens])

    def text_of_indices(self, indices: Sequence[int] | NDArray[np.int64]) -> str:
        """The text of target tokens given by index: those up to the first `</s>` that is not the very first."""
        given = [int(index) for index in indices]
        given = given[1:] if given[:1] == [self.end] else given
        return self.task.decode(
            torch.tensor(given[: given.index(self.end)] if self.end in given else given, dtype=torch.int64)
        )


def load_text(directory: str | Path, trust: Sequence[str] = ()) -> ExportedText:
    """The text stages of an exported model.

    Raises:
        UserError: the directory holds none.
    """
    load_plugins()
    return ExportedText(load_task(Checkpoint(Path(directory), {}), trust))


def write_exported(
    path: Path,
    form: Format,
    described: Mapping[str, str],
    checkpoint: Checkpoint,
    model: Seq2SeqModel,
    sample: Callable[[Vocabularies], PairBatch],
    key: str,
) -> Agreement:
    """Write the directory, or nothing.

    Args:
        form: what to write.
        described: the same for people and programs, with its `name`.
        checkpoint: that `model` was loaded from.
        model: in float32, on the CPU, in evaluation mode.
        sample: sentences to compare the exported model on.
        key: hash of what the result depends on.

    Raises:
        UserError: the format cannot express the model, or what it wrote differs from it.
    """
    with atomic_directory(path) as temporary:
        files = [file for file in checkpoint.info["files"] if file.startswith("task/")]
        for file in files:
            (temporary / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkpoint.path / file, temporary / file)
        saved = checkpoint.config()
        write_json(temporary / "config.json", {part: saved[part] for part in ("task", "model")})
        vocabularies = load_text(temporary).vocabularies
        (temporary / "model").mkdir()
        agreement = write_checked(form, model, vocabularies, temporary / "model", sample(vocabularies))
        write_text(
            temporary / "README.md", README.format(name=described["name"], version=__version__, usage=form.usage)
        )
        facts = {
            "key": key,
            "seqexp": __version__,
            "format": dict(described),
            "checkpoint": {"path": str(checkpoint.path), "update": checkpoint.update},
            "check": {**asdict(agreement), "tolerance": form.tolerance},
            "files": _described(temporary),
        }
        write_json(temporary / "export.json", facts)
    return agreement


def _described(directory: Path) -> dict[str, Any]:
    files = sorted(file for file in directory.rglob("*") if file.is_file())
    return {
        str(file.relative_to(directory)): {"size": file.stat().st_size, "sha256": sha256_of_file(file)}
        for file in files
    }
