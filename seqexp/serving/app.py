"""The HTTP service: what may be asked, and what is answered.

GET  /           a page to type into
GET  /health     {"status": "ok", ...}
POST /translate  {"sentences": [...], "nbest": 1, "attention": false}
                 -> {"translations": [[{"text", "score", "tokens", "token_scores"}, ...], ...], "attention": [...]}

A mistake gets {"error": "..."}, which says what would be right: 400 no UTF-8 or JSON, 408 a body that does not come,
413 too large, 422 another request than the above, 503 too many are waiting, 504 no answer in time.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from seqexp.config.base import OptionError
from seqexp.runtime.errors import UserError
from seqexp.serving.batcher import Answer, Batcher, BusyError

PAGE = Path(__file__).with_name("page.html")
KEYS = {"sentences", "nbest", "attention"}
EXAMPLE = '{"sentences": ["A dog runs."]}'
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Limits:
    """Of one request."""

    max_body_bytes: int
    max_sentences: int
    nbest: int
    """Hypotheses that the search gives."""
    timeout_seconds: float
    """Until the answer; and until the body has come."""


@dataclass(frozen=True)
class Wish:
    """A request that makes sense."""

    sentences: list[str]
    nbest: int
    attention: bool


def application(batcher: Batcher, limits: Limits, title: str) -> Starlette:
    """The service; when it ends, so does the batcher.

    Args:
        title: of the page.
    """
    page = PAGE.read_text(encoding="utf-8").replace("TITLE", _escaped(title))
    page = page.replace("/*nbest*/1", str(limits.nbest))

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers=SECURITY)

    async def health(request: Request) -> Response:
        facts = {"waiting": batcher.num_waiting, "translated": batcher.num_translated}
        if batcher.is_alive:
            return JSONResponse({"status": "ok", **facts})
        return JSONResponse({"status": "stopped", **facts}, 503)

    async def translate(request: Request) -> Response:
        wish = parsed(await body_of(request, limits), limits)
        try:
            future = batcher.submit(wish.sentences, with_attention=wish.attention)
        except BusyError:
            much = f"{batcher.num_waiting} sentences are waiting, and {batcher.max_waiting} may; try again later"
            raise HTTPException(503, much, {"Retry-After": "1"}) from None
        try:
            answer = await asyncio.wait_for(asyncio.wrap_future(future), limits.timeout_seconds)
        except TimeoutError:
            raise HTTPException(504, f"no answer within {limits.timeout_seconds:g} s; give less at once") from None
        except (UserError, OptionError) as error:
            raise HTTPException(422, str(error)) from None
        return JSONResponse(content_of(answer, wish))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        what = f"{request.method} {request.url.path}"
        known = {
            404: f"{what}: there is GET /, GET /health and POST /translate",
            405: f"{what}: POST is for /translate",
        }
        message = known.get(error.status_code, error.detail)
        return JSONResponse({"error": message}, error.status_code, dict(error.headers or {}))

    async def failed(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": "the service failed; its log says why"}, 500)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(batcher.close)

    return Starlette(
        routes=[
            Route("/", show_page),
            Route("/health", health),
            Route("/translate", translate, methods=["POST"]),
        ],
        exception_handlers={HTTPException: refused, Exception: failed},
        lifespan=lifespan,
    )


async def body_of(request: Request, limits: Limits) -> bytes:
    """
    Raises:
        HTTPException: it is larger than allowed, or does not come.
    """
    too_large = HTTPException(
        413,
        f"the body is larger than {limits.max_body_bytes} bytes; send fewer sentences at once",
        {"Connection": "close"},
    )
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limits.max_body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.timeout_seconds):
            async for part in request.stream():
                body += part
                if len(body) > limits.max_body_bytes:
                    raise too_large
    except (TimeoutError, ClientDisconnect):
        late = f"the body did not come within {limits.timeout_seconds:g} s"
        raise HTTPException(408, late, {"Connection": "close"}) from None
    return bytes(body)


def parsed(body: bytes, limits: Limits) -> Wish:
    """
    Raises:
        HTTPException: says what is wrong with the request.
    """
    try:
        value = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"byte {error.start} of the body is not valid UTF-8") from None
    except RecursionError:
        raise HTTPException(400, f"the body is nested too deeply; send {EXAMPLE}") from None
    except ValueError as error:
        raise HTTPException(400, f"the body is not JSON: {error}; send {EXAMPLE}") from None
    if not isinstance(value, dict) or "sentences" not in value:
        raise HTTPException(422, f"the body must be an object with the key sentences, such as {EXAMPLE}")
    if unknown := sorted(value.keys() - KEYS):
        raise HTTPException(422, f"unknown key {unknown[0]!r}; there are {', '.join(sorted(KEYS))}")
    nbest, attention = value.get("nbest", 1), value.get("attention", False)
    if type(nbest) is not int or not 1 <= nbest <= limits.nbest:
        raise HTTPException(422, f"nbest={nbest!r} is not valid: a whole number from 1 to {limits.nbest}")
    if not isinstance(attention, bool):
        raise HTTPException(422, f"attention={attention!r} is not valid: true or false")
    return Wish(sentences_of(value["sentences"], limits), nbest, attention)


def sentences_of(value: Any, limits: Limits) -> list[str]:
    """
    Raises:
        HTTPException: they are no list of so many sentences.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= limits.max_sentences:
        given = f"{len(value)} of them" if isinstance(value, list) else type(value).__name__
        raise HTTPException(422, f"sentences must be a list of 1 to {limits.max_sentences} strings, not {given}")
    for number, sentence in enumerate(value, start=1):
        if not isinstance(sentence, str):
            raise HTTPException(422, f"sentence {number} is not a string but {type(sentence).__name__}")
        if "\n" in sentence or "\r" in sentence:
            raise HTTPException(422, f"sentence {number} holds a line break; send each line as a sentence")
        try:
            sentence.encode("utf-8")
        except UnicodeEncodeError:
            raise HTTPException(422, f"sentence {number} holds half of a surrogate pair, which is no text") from None
    return value


def content_of(answer: Answer, wish: Wish) -> dict[str, Any]:
    """The answer as JSON values; scores that are not finite become null."""
    content: dict[str, Any] = {
        "translations": [
            [
                {
                    "text": each.text,
                    "score": _finite(each.score),
                    "tokens": each.tokens,
                    "token_scores": [_finite(score) for score in each.token_scores],
                }
                for each in nbest[: wish.nbest]
            ]
            for nbest in answer.translations
        ]
    }
    if wish.attention:
        content["attention"] = [None if each is None else asdict(each) for each in answer.attention]
    return content


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
