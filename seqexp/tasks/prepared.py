"""What tasks have in common whose data is a directory made by `preprocess`."""

from collections.abc import Sequence
from pathlib import Path

from hydra.utils import get_class

from seqexp.config.build import build
from seqexp.data.embedded import embedded_data
from seqexp.data.manifest import MANIFEST, Manifest, hash_of
from seqexp.data.stages import Catalog
from seqexp.models.base import Model, ModelConfig
from seqexp.runtime.errors import UserError
from seqexp.tasks.base import Task, TaskConfig


class PreparedTask(Task):
    """A task with a data directory."""

    def __init__(
        self,
        config: TaskConfig,
        embedded: str,
        *,
        components: Catalog,
        trust: Sequence[str] = (),
        directory: Path | None = None,
    ) -> None:
        """
        Args:
            embedded: where the embedded corpus is put when the config names no data.
            components: the catalog, by which the data's text stages are found.
            trust: stages from outside the catalog that the data may name, `module:ConfigClass`.
            directory: vocabularies and text stages of a checkpoint, to use a model without its data.

        Raises:
            UserError: there is no prepared data.
        """
        self.config = config
        self._components, self._trust = components, trust
        if directory is None:
            directory = prepared(config.data) if config.data else embedded_data(Path(embedded), components)
        self.directory = directory
        self.manifest = Manifest.load(directory)
        self.identity = self.manifest.identity()
        self.text_identity = hash_of([[record.name, record.sha256] for record in self.manifest.text_files()])

    def files(self) -> dict[str, Path]:
        names = ["manifest.json", *(record.name for record in self.manifest.text_files())]
        return {name: self.directory / name for name in names}

    def verify(self) -> None:
        self.manifest.verify(self.directory)

    def splits(self) -> list[str]:
        return list(self.manifest.splits)


def prepared(data: str) -> Path:
    """The data directory that `task.data` names.

    Raises:
        UserError: it is not one.
    """
    if not (Path(data) / MANIFEST).is_file():
        what = "holds no prepared data" if Path(data).is_dir() else "is not there"
        raise UserError(f"task.data={data} {what}: give a directory made by python -m seqexp.preprocess")
    return Path(data)


def build_model(config: ModelConfig, kind: type, right: str, **sizes: int) -> Model:
    """A model of the kind that a task trains.

    Args:
        right: what to choose where the config is that of another kind.
        sizes: what its constructor takes besides the config.

    Raises:
        UserError: the config is that of another kind of model.
    """
    if not issubclass(get_class(config._target_), kind):
        raise UserError(f"model: a {config._target_.rpartition('.')[2]} does not fit the task, which takes {right}")
    model: Model = build(config, **sizes)
    return model
