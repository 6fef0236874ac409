from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from seqexp.data.manifest import Manifest, StageRecord
from seqexp.data.prepare import PrepareConfig, prepare
from seqexp.data.stages import copy_text_files, load_stages, load_vocabulary, stage_config, stage_name, stage_options
from seqexp.runtime.errors import UserError
from seqexp.tokenizers.base import Tokenizer, TokenizerConfig
from seqexp.tokenizers.characters import CharactersConfig
from seqexp.tokenizers.moses import MosesConfig
from seqexp.tokenizers.sentencepiece import ModelType, SentencePieceConfig
from seqexp.tokenizers.whitespace import WhitespaceConfig

Catalog = Mapping[str, Mapping[str, str]]


@dataclass
class OutsideConfig(TokenizerConfig):
    _target_: str = f"{__name__}.OutsideTokenizer"


class OutsideTokenizer(Tokenizer):
    pass


OUTSIDE = f"{__name__}:OutsideConfig"


def test_names(catalog: Catalog) -> None:
    assert stage_name(MosesConfig(), "tokenizer", catalog) == "tokenizer/moses"
    assert stage_name(WhitespaceConfig(), "subword", catalog) == "tokenizer/whitespace"
    assert stage_name(OutsideConfig(), "subword", catalog) == OUTSIDE


def test_options_are_plain_and_without_paths() -> None:
    options = stage_options(SentencePieceConfig(model="/home/x.model", model_type=ModelType.bpe))
    assert options["model_type"] == "bpe"
    assert options["model"] is None
    assert "_target_" not in options
    assert all(type(value) in (str, int, float, bool, type(None)) for value in options.values())


@pytest.mark.parametrize(
    "config", [MosesConfig(escape=False), SentencePieceConfig(vocabulary_size=9), CharactersConfig()]
)
def test_a_config_is_rebuilt(catalog: Catalog, config: TokenizerConfig) -> None:
    group = "tokenizer" if isinstance(config, MosesConfig) else "subword"
    record = StageRecord(stage_name(config, group, catalog), stage_options(config), [])
    assert stage_config(record, catalog) == config


@pytest.mark.parametrize(
    ("component", "options", "message"),
    [
        ("subword/nothing", {}, "subword/nothing is not in the catalog"),
        ("os:system", {}, "os:system is not in the catalog; if you trust it, name it in trust="),
        (OUTSIDE, {}, "is not in the catalog"),
        ("tokenizer/moses", {"unknown": 1}, "unknown"),
        ("tokenizer/moses", {"escape": "${oc.env:HOME}"}, "interpolation"),
        ("tokenizer/moses", {"_target_": "os.system"}, "_target_"),
        ("tokenizer/moses", {"component": "os:system", "escape": "maybe"}, "maybe"),
        ("subword/sentencepiece", {"vocabulary_size": 1}, "vocabulary_size=1"),
    ],
)
def test_records_that_are_refused(catalog: Catalog, component: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        stage_config(StageRecord(component, options, []), catalog)
    assert "\n" not in str(caught.value)


def test_a_trusted_component_need_not_be_in_the_catalog(catalog: Catalog) -> None:
    record = StageRecord("seqexp.tokenizers.moses:MosesConfig", {"escape": False}, [])
    assert stage_config(record, {}, trust=[record.component]) == MosesConfig(escape=False)
    for missing in ("nowhere.at_all:Config", "seqexp.tokenizers.moses:Nothing"):
        with pytest.raises(UserError, match="cannot be imported"):
            stage_config(StageRecord(missing, {}, []), {}, trust=[missing])


@pytest.fixture
def prepared(make_config: Callable[..., PrepareConfig], catalog: Catalog) -> Path:
    config = make_config(tokenizer=MosesConfig(), subword=SentencePieceConfig(vocabulary_size=26))
    return prepare(config, catalog).directory


def test_text_goes_in_and_comes_out(prepared: Path, catalog: Catalog, tmp_path: Path) -> None:
    copy_text_files(prepared, tmp_path / "checkpoint")
    for directory in (prepared, tmp_path / "checkpoint"):
        manifest = Manifest.load(directory)
        stages = load_stages(directory, manifest, "en", catalog)
        vocabulary = load_vocabulary(directory, manifest, "en")
        text = "the cat runs."
        indices = vocabulary.encode(stages.encode(text))
        assert vocabulary.unk not in indices
        assert stages.decode(vocabulary.decode(indices)) == text
        assert stages.encode_lines([text, ""]) == [stages.encode(text), ""]


def test_changed_files_are_refused(prepared: Path, catalog: Catalog) -> None:
    manifest = Manifest.load(prepared)
    for name in ("sentencepiece.model", "vocabulary.txt"):
        content = bytearray((prepared / name).read_bytes())
        content[-2] ^= 1
        (prepared / name).write_bytes(content)
    with pytest.raises(UserError, match=r"sentencepiece.model: the content differs"):
        load_stages(prepared, manifest, "en", catalog)
    with pytest.raises(UserError, match=r"vocabulary.txt: the content differs"):
        load_vocabulary(prepared, manifest, "en")
