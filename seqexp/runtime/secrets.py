"""Passwords and keys stay out of what is written: files, logs, trackers."""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

MASK = "***"

_SECRET_ENDINGS = (
    ("password",),
    ("passwd",),
    ("passphrase",),
    ("secret",),
    ("token",),
    ("credential",),
    ("credentials",),
    ("apikey",),
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("secret", "key"),
)
_SYMBOLS = {
    *("begin", "bos", "class", "cls", "end", "eos", "language", "mask", "new", "pad", "padding", "per", "prefix"),
    *("sep", "separator", "special", "stop", "unk", "unknown"),
}
"""`<one of these>_token` is a symbol of a vocabulary."""

_SHORTEST = 8
"""Values of environment variables below this length are no secrets, and would turn up in ordinary words."""

_IN_URL = re.compile(r"(?<=://)[^\s/?#@'\"]+@")
_REFERENCE = re.compile(r"[^\s/?#@'\"=]*\$\{[^{}]*\}@?")
"""To the environment, with the name of a user before it and the sign of a URL behind it."""
_ASSIGNMENT = re.compile(
    r"""(?P<name>[\w.-]*\w)
        (?P<sign>['"]\s*[:=]\s*|\s*=\s*|:(?=\S))
        (?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"'&}\])]+)""",
    re.VERBOSE,
)


def is_secret_name(name: str) -> bool:
    """Whether an option or variable of this name holds a secret: `HF_TOKEN`, `db.password`, not `max_tokens`."""
    last = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).rpartition(".")[2]
    words = tuple(re.split(r"[^a-z0-9]+", last.lower().strip("-_")))
    if words[-1] == "token" and len(words) > 1 and words[-2] in _SYMBOLS:
        return False
    return any(words[-len(ending) :] == ending for ending in _SECRET_ENDINGS)


def mask(text: str) -> str:
    """Replace secrets in a text such as a message, an override or a command line by `***`.

    Secrets are the user part of a URL (`https://***@host`), what is assigned to a name that tells (`token=***`,
    `"password": "***"`), and values of environment variables with such names wherever they stand.
    """
    for value in _values_of_environment():
        text = text.replace(value, MASK)
    return _mask_assignments(_IN_URL.sub(f"{MASK}@", text))


def contains_secret(text: str) -> bool:
    """Whether `mask` would replace something besides references to the environment (`${oc.env:NAME}`)."""
    text = _REFERENCE.sub("", text)
    return mask(text) != text


class MaskedStream:
    """A text stream that writes to another one what `mask` leaves of each piece."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(mask(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def mask_values(value: Any, name: str = "") -> Any:
    """A JSON value, such as a saved config, with its secrets replaced; `name` is the option that holds it."""
    if isinstance(value, Mapping):
        return {key: mask_values(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(item, name) for item in value]
    if not isinstance(value, str):
        return value
    return MASK if value and is_secret_name(name) else mask(value)


def _mask_assignments(text: str) -> str:
    done, position = "", 0
    while match := _ASSIGNMENT.search(text, position):
        # What is assigned to another name may hold assignments of its own.
        end = match.start("value")
        done += text[position:end]
        if is_secret_name(match["name"]):
            quote = match["value"][0] if match["value"][0] in "\"'" else ""
            done, end = f"{done}{quote}{MASK}{quote}", match.end()
        position = end
    return done + text[position:]


def _values_of_environment() -> Iterator[str]:
    values = (value for name, value in os.environ.items() if len(value) >= _SHORTEST and is_secret_name(name))
    return iter(sorted(values, key=len, reverse=True))
