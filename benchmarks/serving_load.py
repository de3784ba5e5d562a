"""Load on the test double: what it bears, what it refuses, and how it recovers."""

import collections
import threading
import time

import grpc
import numpy as np

from benchmarks.serving_double import wait_for
from command_line import quiet
from serving import stubs
from serving.client_grpc import to_tensor
from serving.load_test import Result, closed_loop, open_loop

# Clients that find the capacity; enough to keep every thread of the server busy.
CLIENTS = 8


def asker(double, model, texts, rest=False):
    """A function that asks for one of the texts by its number, and the client behind it."""
    client = double.client(model, rest)
    return (lambda number: client.predict({"text": [texts[number % len(texts)]]})), client


def capacity(double, model, texts, seconds=10.0) -> float:
    """Answers per second, of one text each, that a closed loop over gRPC reaches."""
    ask, client = asker(double, model, texts)
    with client:
        return closed_loop(ask, seconds, CLIENTS).rate


def steady(double, model, texts, minutes) -> dict:
    """Open loop at 70 % of capacity; and how memory grows after a fifth of the time, two minutes of ten."""
    found = capacity(double, model, texts)
    ask, client = asker(double, model, texts)
    begun = threading.Event()
    sizes = []

    def watch():
        while not begun.wait(minutes * 60 / 50):
            sizes.append(double.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    with client:
        result = open_loop(ask, minutes * 60, 0.7 * found, 256)
    begun.set()
    watcher.join()
    return {
        "capacity, per second": found,
        "sent, per second": 0.7 * found,
        **report(result),
        "memory growth after a fifth, MB": (sizes[-1] - sizes[len(sizes) // 5]) / 1e6,
    }


def overload(double, model, texts, seconds) -> dict:
    """Open loop at twice the capacity: what is still answered, how fast the rest is refused, and recovery."""
    found = capacity(double, model, texts)
    ask, client = asker(double, model, texts)
    with client:
        alone = closed_loop(ask, 3.0, 1).percentile(50)
        result = open_loop(ask, seconds, 2 * found, 512)
        end = time.perf_counter()
        # Recovered: one client alone gets its answer as fast as before, give or take a half.
        wait_for(lambda: closed_loop(ask, 0.2, 1).percentile(50) < 1.5 * alone)
        recovered = time.perf_counter() - end
    return {
        "capacity, per second": found,
        "sent, per second": 2 * found,
        **report(result),
        "goodput, share of capacity": result.rate / found,
        "time to refusal p50, ms": percentile(result.refusals, 50),
        "time to refusal p99, ms": percentile(result.refusals, 99),
        "recovery, s": recovered,
    }


def in_flight(double, model, texts, requests) -> dict:
    """So many requests at once over one connection of gRPC, and one afterwards, which must be answered."""
    ask, client = asker(double, model, texts)
    method = client.transport.prediction.Predict
    codes = collections.Counter()
    with client:
        start = time.perf_counter()
        asked = []
        for number in range(requests):
            request = stubs.predict_pb2.PredictRequest()
            request.model_spec.name = model
            request.inputs["text"].CopyFrom(to_tensor([texts[number % len(texts)]]))
            asked.append(method.future(request, timeout=300))
        for future in asked:
            try:
                future.result()
                codes["answered"] += 1
            except grpc.RpcError as error:
                codes[error.code().name] += 1
        seconds = time.perf_counter() - start
        ask(0)
    return {"requests at once": requests, **codes, "until all had ended, s": seconds}


def first(double, model, texts) -> dict:
    """The first request of a server that has just begun to serve, beside the median of later ones."""
    ask, client = asker(double, model, texts)
    with client:
        client.status()  # The connection stands.
        start = time.perf_counter()
        ask(0)
        begun = time.perf_counter() - start
        result = closed_loop(lambda number: ask(0), 5.0, 1)
    return {"first request, ms": 1000 * begun, "median of the same, ms": result.percentile(50)}


def overhead(double, model, texts, folder, seconds) -> dict:
    """Median latency over gRPC and REST less that of a call in a process of its own."""
    with quiet.start_up():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401

    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]

    def call(number):
        function(text=tf.constant([texts[number % len(texts)]]))

    call(0)
    medians = {"the model alone": closed_loop(call, seconds, 1).percentile(50)}
    for rest in (False, True):
        ask, client = asker(double, model, texts, rest)
        with client:
            ask(0)
            medians["REST" if rest else "gRPC"] = closed_loop(ask, seconds, 1).percentile(50)
    alone = medians["the model alone"]
    return {
        **{f"median of {name}, ms": value for name, value in medians.items()},
        **{f"overhead of {name}, ms": medians[name] - alone for name in ("gRPC", "REST")},
    }


def report(result: Result) -> dict:
    """A load as figures."""
    return {
        "answered": len(result.latencies),
        "answered, per second": result.rate,
        "p50, ms": result.percentile(50),
        "p99, ms": result.percentile(99),
        "errors": dict(result.errors),
    }


def percentile(seconds, percent):
    """In milliseconds; none of nothing."""
    return 1000 * float(np.percentile(seconds, percent)) if seconds else None
