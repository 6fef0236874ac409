"""`python -m seqexp.serve`: translate over HTTP, with a page to try it."""

import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seqexp.config.base import require
from seqexp.config.command import overridden_fields
from seqexp.engines.base import EngineConfig
from seqexp.generators.base import GeneratorConfig
from seqexp.generators.beam import BeamSearchConfig
from seqexp.models.base import Seq2SeqModel
from seqexp.plugins import run
from seqexp.pretrained import TrainedModelConfig, run_generator
from seqexp.runtime.errors import UserError
from seqexp.runtime.extras import import_extra
from seqexp.runtime.logs import show_messages
from seqexp.runtime.memory import use_large_pages

logger = logging.getLogger("seqexp.serve")

EXTRA = "serve"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass
class ServeConfig(TrainedModelConfig):
    generator: GeneratorConfig = MISSING
    """The run's own generator, with what the command line changes. Its `nbest`, which is `beam_size` here unless the
    command line says otherwise, is the most that a request may ask for."""
    engine: EngineConfig = MISSING
    """What computes the search."""
    host: str = "127.0.0.1"
    """Address to listen on; by default this machine alone reaches it."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    wait_ms: float = 5.0
    """How long a request waits for others to be translated together with it, when nothing is being translated."""
    max_together: int = 256
    """Sentences after which it waits no longer."""
    max_waiting: int = 2048
    """Most sentences that are taken and not yet answered; further requests get status 503."""
    max_sentences: int = 128
    """Most sentences of a request."""
    max_sentence_tokens: int = 256
    """Most source tokens of a sentence; the model's positions are a limit too."""
    max_body_bytes: int = 262144
    """Most bytes of a request."""
    timeout_seconds: float = 60.0
    """How long a request may take, and the end of the service."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.port < 65536, "port", self.port, "a number from 0 to 65535")
        require(self.wait_ms >= 0, "wait_ms", self.wait_ms, "it must not be negative")
        for name in (
            *("max_together", "max_waiting", "max_sentences", "max_sentence_tokens"),
            *("max_body_bytes", "timeout_seconds"),
        ):
            require(getattr(self, name) > 0, name, getattr(self, name), "it must be positive")
        right = f"at least max_sentence_tokens={self.max_sentence_tokens}"
        require(self.max_tokens >= self.max_sentence_tokens, "max_tokens", self.max_tokens, right)
        right = f"at least max_sentences={self.max_sentences}"
        require(self.max_waiting >= self.max_sentences, "max_waiting", self.max_waiting, right)


def main(config: ServeConfig) -> None:
    show_messages()
    use_large_pages()
    uvicorn, _ = import_extra("uvicorn", EXTRA), import_extra("starlette", EXTRA)
    from seqexp.serving.app import Limits, application
    from seqexp.serving.batcher import Batcher

    overridden = overridden_fields("generator")
    generator = run_generator(config.run[0], config.checkpoint, config.generator, overridden, config.trust)
    if isinstance(generator, BeamSearchConfig) and "nbest" not in (overridden or ()):
        generator.nbest = generator.beam_size
    listening = listen(config.host, config.port)
    model = config.load(generator=generator, engine=config.engine)
    longest = [config.max_sentence_tokens]
    for each in model.models:
        if not isinstance(each, Seq2SeqModel):
            raise UserError(f"run={config.run[0]} holds a {type(each).__name__}: only translation models can be served")
        longest.append(each.max_source_positions)
    limits = Limits(
        max_body_bytes=config.max_body_bytes,
        max_sentences=config.max_sentences,
        nbest=getattr(generator, "nbest", 1),
        timeout_seconds=config.timeout_seconds,
    )
    batcher = Batcher(
        model,
        wait_seconds=config.wait_ms / 1000,
        max_together=config.max_together,
        max_waiting=config.max_waiting,
        max_sentence_tokens=min(longest),
    )
    settings = uvicorn.Config(
        application(batcher, limits, f"seqexp: {Path(config.run[0]).name}"),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(config.timeout_seconds) or 1,
    )
    if config.host not in LOOPBACK:
        logger.warning(
            "host=%s: whoever reaches this address may use the service, which asks for no password", config.host
        )
    print(f"serving on {address(listening)} (Ctrl-C ends)", flush=True)
    server = _server(uvicorn, settings)
    server.run(sockets=[listening])
    print(f"ended after {batcher.num_translated} sentences")


def listen(host: str, port: int) -> socket.socket:
    """
    Raises:
        UserError: the address cannot be listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise UserError(
            f"host={host} port={port} cannot be listened on: {error.strerror}; port=0 takes a free one"
        ) from error


def address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(uvicorn: Any, settings: Any) -> Any:
    """A server that SIGTERM and Ctrl-C end well: uvicorn's own would raise the signal once more when all is done."""

    class Server(uvicorn.Server):  # type: ignore[misc]
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.handle_exit)
            yield

    return Server(settings)


def cli() -> None:
    run("serve", ServeConfig, main, ["generator", "engine"])


if __name__ == "__main__":
    cli()
