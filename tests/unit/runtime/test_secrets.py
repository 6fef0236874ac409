import logging
from pathlib import Path

import pytest

from seqexp.runtime.logs import writing_messages
from seqexp.runtime.secrets import contains_secret, is_secret_name, mask, mask_values


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "HF_TOKEN",
        "hub.auth_token",
        "accessToken",
        "db.password",
        "api_key",
        "api-key",
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "tokenizer", "tokenize", "mask_token", "eos_token", "key", "token_scores", "token.length", "monkey"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("http://ann:pw@host:5000/x", "http://***@host:5000/x"),
        ("tracker.mlflow.uri=postgresql://ann:pw@host/db", "tracker.mlflow.uri=postgresql://***@host/db"),
        ("clone https://ghp_abc@host and http://host/a@b", "clone https://***@host and http://host/a@b"),
        ("a.password=x,y b=1", "a.password=*** b=1"),
        ("hub={token:abc,user:ann}", "hub={token:***}"),
        ("password='a b' c", "password='***' c"),
        ('{"api_key": "a \\" b", "b": 2}', '{"api_key": "***", "b": 2}'),
        ("http://host/?token=abc&x=1", "http://host/?token=***&x=1"),
        ("unknown token: foo, max_tokens=5, mask_token=<m>", "unknown token: foo, max_tokens=5, mask_token=<m>"),
    ],
)
def test_secrets_in_a_text(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


def test_values_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abcdefgh1234")
    monkeypatch.setenv("SHORT_TOKEN", "en")
    assert mask("failed with abcdefgh1234 in en") == "failed with *** in en"


def test_secrets_in_a_config() -> None:
    config = {"uri": "http://a:b@h", "max_tokens": 3, "hub": {"token": "x", "tokens": ["y"]}, "password": None}
    masked = {"uri": "http://***@h", "max_tokens": 3, "hub": {"token": "***", "tokens": ["y"]}, "password": None}
    assert mask_values(config) == masked


def test_a_log_file_holds_no_secrets(tmp_path: Path) -> None:
    logger = logging.getLogger("seqexp.test")

    def fail() -> None:
        with writing_messages(tmp_path / "log.txt"):
            logger.error("cannot reach %s", "http://ann:pw@host")
            raise ValueError("http://ann:pw@elsewhere")

    with pytest.raises(ValueError, match="elsewhere"):
        fail()
    written = (tmp_path / "log.txt").read_text()
    assert "http://***@host" in written
    assert "http://***@elsewhere" in written
    assert "ann:pw" not in written.replace('ValueError("http://ann:pw@elsewhere")', "")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("optimizer.lr=1,2", False),
        ("tracker.mlflow.uri=http://host:5000", False),
        ("tracker.mlflow.uri=http://ann:pw@host:5000", True),
        ("tracker.mlflow.uri=http://ann:${oc.env:PW}@host:5000", False),
        ("db.password=pw", True),
        ("db.password=${oc.env:PW}", False),
    ],
)
def test_references_to_the_environment_are_no_secrets(text: str, secret: bool) -> None:
    assert contains_secret(text) == secret
