"""Loads a server and measures it: python -m serving.load_test --target HOST:PORT --model NAME --input FILE

Closed loop: each of --concurrency clients asks again when it has its answer, which finds the capacity. Open
loop, with --rate: requests are sent at even intervals whether answers come or not, which finds what users
wait at that rate; a latency counts from the moment at which the request was due. Nothing is retried unless
--retries says so.
"""

import collections
import dataclasses
import itertools
import math
import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np

import command_line
from keras_transformer_programs import installation
from serving.client import MAX_SECONDS, add_connection, connect, explain_errors
from serving.client_errors import ServingError

PERCENTILES = (50, 90, 99)
# Of an option. Each request in flight has a thread.
LARGEST = {"batch_size": 10**9, "seconds": MAX_SECONDS, "concurrency": 4096, "rate": 10**6}
# Lists are appended to by several threads at once; counts are not.
LOCK = threading.Lock()


@dataclasses.dataclass
class Result:
    """What a load gave.

    Attributes:
        seconds: from the first request to the last answer.
        latencies: seconds, of the requests that were answered.
        refusals: seconds, of those that were not.
        errors: code -> how many.
        messages: code -> the first message.
    """

    seconds: float = math.nan
    latencies: list = dataclasses.field(default_factory=list)
    refusals: list = dataclasses.field(default_factory=list)
    errors: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    messages: dict = dataclasses.field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, percent) -> float:
        """Of the latencies, in milliseconds."""
        return 1000 * float(np.percentile(self.latencies, percent)) if self.latencies else math.nan

    def __str__(self):
        percentiles = [f"p{percent} {self.percentile(percent):.1f}" for percent in PERCENTILES]
        largest = 1000 * max(self.latencies, default=math.nan)
        errors = ", ".join(f"{code} {count}" for code, count in sorted(self.errors.items())) or "none"
        return (
            f"answered: {len(self.latencies)} in {self.seconds:.1f} s, {self.rate:.1f} per second\n"
            f"milliseconds: {', '.join(percentiles)}, max {largest:.1f}\n"
            f"errors: {errors}"
        )


def closed_loop(ask, seconds, concurrency, stopped=None) -> Result:
    """Asks again and again.

    Args:
        ask: function of the number of a request, from 0; called by several threads.
        seconds: to go on for.
        concurrency: requests in flight.
        stopped: `threading.Event` that ends it earlier.
    """
    result, numbers, start, failed = Result(), itertools.count(), time.perf_counter(), []

    def work():
        try:
            while (now := time.perf_counter()) < start + seconds and not failed:
                if stopped and stopped.is_set():
                    break
                _timed(ask, next(numbers), now, result)
        except Exception as error:  # This program's: it ends all of them.
            failed.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    return _joined(threads, failed, result, start)


def open_loop(ask, seconds, rate, concurrency) -> Result:
    """Asks at even intervals.

    Args:
        ask: as of `closed_loop`.
        seconds: to go on for.
        rate: requests per second.
        concurrency: requests in flight at most; one that is due beyond them waits, and its time counts.
    """
    result, start, waiting, failed = Result(), time.perf_counter(), queue.SimpleQueue(), []

    def work():
        while (request := waiting.get()) is not None and not failed:
            try:
                _timed(ask, *request, result)
            except Exception as error:  # This program's: it ends all of them.
                failed.append(error)

    count = round(seconds * rate)
    # Daemons: at Ctrl-C nobody waits for answers that are still to come.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(concurrency, count))]
    for thread in threads:
        thread.start()
    for number in range(count):
        due = start + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        if failed:
            break
        waiting.put((number, due))
    for _ in threads:
        waiting.put(None)
    return _joined(threads, failed, result, start)


def _joined(threads, failed, result, start):
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    result.seconds = time.perf_counter() - start
    return result


def _timed(ask, number, since, result):
    try:
        ask(number)
    except ServingError as error:
        result.refusals.append(time.perf_counter() - since)
        with LOCK:
            result.errors[error.code] += 1
            result.messages.setdefault(error.code, str(error))
    else:
        result.latencies.append(time.perf_counter() - since)


def picture(result, path) -> None:
    """Draws a histogram of the latencies."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.hist(1000 * np.array(result.latencies), bins=60)
    for percent in PERCENTILES:
        value = result.percentile(percent)
        axes.axvline(value, color="black", linestyle=":")
        axes.annotate(f"p{percent}", (value, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom")
    axes.set(xlabel="latency, milliseconds", ylabel="requests")
    figure.savefig(path)
    pyplot.close(figure)


def main(arguments=None) -> None:
    """Reads the command line, loads and reports."""
    parser = command_line.parser("serving.load_test", __doc__)
    add_connection(parser)
    parser.set_defaults(retries=0)
    parser.add_argument("--input", type=str, required=True, help="file with one text a line, sent in turn")
    parser.add_argument("--batch_size", type=int, default=1, help="texts in a request")
    parser.add_argument("--seconds", type=float, default=10.0, help="to go on for")
    parser.add_argument("--concurrency", type=int, help="requests in flight; 4, or with --rate at most 256")
    parser.add_argument("--rate", type=float, help="requests per second: open loop")
    parser.add_argument("--picture", type=str, help="file for a histogram of the latencies, PNG, SVG or PDF")
    options = parser.parse_args(arguments)
    for name, largest in LARGEST.items():
        if options[name] is not None and not 0 < options[name] <= largest:
            raise ValueError(
                f"`{name}` must be positive, at most {largest}. Received: {name}={options[name]}."
            )
    if options.picture:
        installation.check("matplotlib")
    texts = Path(options.input).read_bytes().splitlines()
    if not texts:
        raise ValueError(f"`input` must have a line. Received: {options.input}, which is empty.")
    with explain_errors(options), connect(options) as client:
        name = client.input_name()

        def ask(number):
            first = number * options.batch_size
            client.predict({name: [texts[(first + i) % len(texts)] for i in range(options.batch_size)]})

        try:
            if options.rate is None:
                result = closed_loop(ask, options.seconds, options.concurrency or 4)
            else:
                result = open_loop(ask, options.seconds, options.rate, options.concurrency or 256)
        except KeyboardInterrupt:
            print("interrupted: a load that did not end has no figures", file=sys.stderr)
            raise
    if not result.latencies:
        why = "; ".join(result.messages.values()) or "there was no time for a request"
        raise OSError(f"No request to {options.target} was answered with a result: {why}")
    print(result)
    if options.picture:
        picture(result, options.picture)


if __name__ == "__main__":
    command_line.run(main)
