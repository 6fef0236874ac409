"""Requests that `seqexp.serve` answers on this machine, and how long each takes.

    python benchmarks/serving.py RUN [--clients 64] [--seconds 30] [--text FILE] [options of seqexp.serve ...]

Every client sends one sentence of FILE after the other, each when it has the answer to the one before. FILE is raw
text; without it the sentences are built in. The service and its clients share the machine's cores.
"""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx2

SENTENCES = [
    "The dog runs.",
    "The hungry bakers built a chair on Thursday.",
    "I wrote a book.",
    "A cat sleeps in the house.",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--text", type=Path)
    options, others = parser.parse_known_args()
    sentences = options.text.read_text(encoding="utf-8").splitlines() if options.text else SENTENCES
    command = [sys.executable, "-m", "seqexp.serve", f"run={options.run}", "port=0", *others]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        try:
            url = service.stdout.readline().split()[2]
            asyncio.run(measure(url, sentences, options.clients, options.seconds))
        finally:
            service.terminate()
            sys.stdout.write(f"the service: {service.stdout.read().strip()}, exit status {service.wait(60)}\n")


async def measure(url: str, sentences: list[str], num_clients: int, seconds: float) -> None:
    answers: Counter[str] = Counter()
    times: list[float] = []
    async with httpx2.AsyncClient(
        base_url=url, timeout=60, limits=httpx2.Limits(max_connections=num_clients)
    ) as client:
        await client.post("/translate", json={"sentences": sentences[:1]})
        until = time.perf_counter() + seconds
        await asyncio.gather(
            *(ask(client, sentences, random.Random(number), until, answers, times) for number in range(num_clients))
        )
    times.sort()
    errors = {name: count for name, count in answers.items() if name != "200"}
    sys.stdout.write(
        f"{num_clients} clients, {seconds:g} s: {answers['200']} requests answered ({answers['200'] / seconds:.1f} per "
        f"second), errors: {errors or 'none'}; p50 {1000 * statistics.median(times):.0f} ms, "
        f"p99 {1000 * times[int(0.99 * (len(times) - 1))]:.0f} ms, longest {1000 * times[-1]:.0f} ms\n"
    )


async def ask(
    client: httpx2.AsyncClient,
    sentences: list[str],
    chance: random.Random,
    until: float,
    answers: "Counter[str]",
    times: list[float],
) -> None:
    while (started := time.perf_counter()) < until:
        try:
            answer = await client.post("/translate", json={"sentences": [chance.choice(sentences)]})
            answers[str(answer.status_code)] += 1
        except httpx2.HTTPError as error:
            answers[type(error).__name__] += 1
        times.append(time.perf_counter() - started)


if __name__ == "__main__":
    main()
