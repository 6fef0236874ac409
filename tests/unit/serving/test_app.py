"""Requests that make no sense are told what would be right."""

import json
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from starlette.exceptions import HTTPException

from seqexp.pretrained import Translation
from seqexp.serving.app import Limits, Wish, content_of, parsed
from seqexp.serving.batcher import Answer

LIMITS = Limits(max_body_bytes=1000, max_sentences=3, nbest=2, timeout_seconds=1.0)

MISTAKES: list[tuple[bytes, int, str]] = [
    (b"", 400, "the body is not JSON: Expecting value"),
    (b'{"sentences": [', 400, "the body is not JSON"),
    (b'{"sentences": ["\xff"]}', 400, "byte 16 of the body is not valid UTF-8"),
    (b"[" * 100_000, 400, "nested too deeply"),
    (b"[]", 422, "must be an object with the key sentences"),
    (b'{"sentence": "a"}', 422, "must be an object with the key sentences"),
    (b'{"sentences": ["a"], "model": "/etc"}', 422, "unknown key 'model'; there are attention, nbest, sentences"),
    (b'{"sentences": "a"}', 422, "a list of 1 to 3 strings, not str"),
    (b'{"sentences": []}', 422, "a list of 1 to 3 strings, not 0 of them"),
    (b'{"sentences": ["", "", "", ""]}', 422, "a list of 1 to 3 strings, not 4 of them"),
    (b'{"sentences": ["a", 1]}', 422, "sentence 2 is not a string but int"),
    (b'{"sentences": ["a\\nb"]}', 422, "sentence 1 holds a line break"),
    (b'{"sentences": ["\\ud800"]}', 422, "half of a surrogate pair"),
    (b'{"sentences": ["a"], "nbest": 3}', 422, "nbest=3 is not valid: a whole number from 1 to 2"),
    (b'{"sentences": ["a"], "nbest": true}', 422, "nbest=True is not valid"),
    (b'{"sentences": ["a"], "attention": 1}', 422, "attention=1 is not valid: true or false"),
]


@pytest.mark.parametrize(("body", "status", "message"), MISTAKES)
def test_a_mistake(body: bytes, status: int, message: str) -> None:
    with pytest.raises(HTTPException) as caught:
        parsed(body, LIMITS)
    assert caught.value.status_code == status
    assert message in caught.value.detail


def test_a_request() -> None:
    body = json.dumps({"sentences": ["a", ""], "nbest": 2, "attention": True}).encode()
    assert parsed(body, LIMITS) == Wish(["a", ""], 2, True)
    assert parsed(b'{"sentences": ["a"]}', LIMITS) == Wish(["a"], 1, False)


def test_scores_that_are_not_finite_are_valid_json() -> None:
    nbest = [Translation("A", float("-inf"), ["A"], [float("nan")]), Translation("B", -1.0, ["B"], [-1.0])]
    content: Any = content_of(Answer([nbest], []), Wish(["a"], 1, False))
    assert json.loads(json.dumps(content, allow_nan=False)) == {
        "translations": [[{"text": "A", "score": None, "tokens": ["A"], "token_scores": [None]}]]
    }
