"""Load on the page: python -m benchmarks.serving_page --target HOST:PORT --model NAME --input FILE

Starts `serving.web` in front of a server that runs, at its REST port, and asks with one client and with
many at once, each of which asks again when it has its answer. No text is asked twice: answers are kept.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import psutil

import command_line
from benchmarks.serving_double import REPOSITORY

READY = "serving.web ready: "


def main(arguments=None):
    """Measures and prints a table."""
    parser = command_line.parser("benchmarks.serving_page", __doc__)
    parser.add_argument("--target", type=str, required=True, help="HOST:PORT of TF Serving's REST")
    parser.add_argument("--model", type=str, required=True, help="name of the model")
    parser.add_argument("--input", type=str, required=True, help="file with one text a line")
    parser.add_argument("--clients", type=int, default=100, help="at once")
    parser.add_argument("--requests", type=int, default=20, help="of each client")
    options = parser.parse_args(arguments)
    lines = Path(options.input).read_text(encoding="utf-8").split("\n")
    numbers = itertools.count()
    texts = (f"{lines[number % len(lines)]} {number}" for number in numbers)
    command = [sys.executable, "-m", "serving.web", "--target", options.target, "--model", options.model]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            address = process.stdout.readline().removeprefix(READY).strip()
            found = asyncio.run(measure(address, options, texts, psutil.Process(process.pid)))
        finally:
            process.terminate()
    print("| | |\n|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:,.1f} |" if isinstance(value, float) else f"| {name} | {value:,} |")


async def measure(address, options, texts, process) -> dict:
    """{figure: number}."""
    model = options.model
    direct_url = f"http://{options.target}/v1/models/{model}:predict"

    def through_page(text):
        return f"{address}translate", {"q": text, "source": model, "target": model}

    def directly(text):
        return direct_url, {"inputs": {"text": [text]}}

    clients = [httpx.AsyncClient(timeout=120, trust_env=False, verify=False) for _ in range(options.clients)]
    first = clients[0]
    for ask in (through_page, directly):  # connections, signatures
        await timed(first, *ask(next(texts)))
    # In turn: whatever else the machine does, both meet it.
    pairs = [
        [await timed(first, *ask(next(texts))) for ask in (directly, through_page)]
        for _ in range(5 * options.requests)
    ]
    alone = 1000 * np.array([[seconds for seconds, _ in pair] for pair in pairs])

    async def client(number):
        return [await timed(clients[number], *through_page(next(texts))) for _ in range(options.requests)]

    start, used = time.perf_counter(), sum(process.cpu_times()[:2])
    answers = sum(await asyncio.gather(*map(client, range(options.clients))), [])
    seconds, used = time.perf_counter() - start, sum(process.cpu_times()[:2]) - used
    milliseconds = 1000 * np.array([taken for taken, _ in answers])
    p50, p90, p99 = np.percentile(milliseconds, (50, 90, 99))
    for client in clients:
        await client.aclose()
    return {
        "one client, TF Serving's own answer, p50, ms": float(np.median(alone[:, 0])),
        "one client, through the page, p50, ms": float(np.median(alone[:, 1])),
        "what the page adds, p50, ms": float(np.median(alone[:, 1] - alone[:, 0])),
        "clients at once": options.clients,
        "answers": len(answers),
        "errors": sum(status != 200 for _, status in answers),
        "answers per second": len(answers) / seconds,
        "the page's own time for an answer, ms": 1000 * used / len(answers),
        "p50, ms": float(p50),
        "p90, ms": float(p90),
        "p99, ms": float(p99),
        "p99 / p50": float(p99 / p50),
    }


async def timed(client, url, body):
    """Seconds until the answer, and its status; the error's name if there is none."""
    start = time.perf_counter()
    try:
        status = (await client.post(url, json=body)).status_code
    except httpx.HTTPError as error:
        status = f"{type(error).__name__}"
    return time.perf_counter() - start, status


if __name__ == "__main__":
    command_line.run(main)
