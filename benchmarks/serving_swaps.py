"""New, damaged and old versions while requests are running."""

import random
import shutil
import tempfile
import threading
from pathlib import Path

from benchmarks.serving_double import (
    model_config,
    server_config,
    states,
    version_of,
    wait_for,
    write_version,
)
from serving.load_test import closed_loop

TEXTS = ["a", "b", "c"]


class Load:
    """Clients that ask all the time, by gRPC and by REST, and check every answer.

        with Load(double, "echo") as load:
            ...
        load.figures()

    Args:
        double: `serving_double.Double`.
        model: name of a model of `serving_double.write_version`.
        concurrency: requests in flight.
        choice: `version` or `label`, as of `serving.client.Client`.
    """

    def __init__(self, double, model, concurrency=4, **choice):
        self.clients = [double.client(model, rest, **choice) for rest in (False, True)]
        self.concurrency, self.stopped, self.versions, self.wrong = concurrency, threading.Event(), [], []
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for client in self.clients:
            client.close()

    def wait_for_only(self, number):
        """Waits until answers are from one version alone: as many as there are clients."""
        wait_for(lambda: set(self.versions[-self.concurrency :]) == {number})

    def _run(self):
        self.result = closed_loop(self._ask, 3600, self.concurrency, self.stopped)

    def _ask(self, number):
        answer = self.clients[number % 2].predict({"text": TEXTS})
        try:
            self.versions.append(version_of(answer))
        except ValueError as error:
            self.wrong.append(str(error))

    def figures(self) -> dict:
        """What happened."""
        return {
            "answered": len(self.result.latencies),
            "failed": dict(self.result.errors),
            "not of one version": len(self.wrong),
            "versions seen": list(dict.fromkeys(self.versions)),
        }


def swaps(double, base, model, first, count) -> dict:
    """Publishes new versions under load; each must have answered before the next comes.

    Args:
        double: `serving_double.Double`, which serves the newest version.
        base: folder of the model's versions.
        model: its name.
        first: number of the first new version.
        count: how many.
    """
    with Load(double, model) as load:
        for number in range(first, first + count):
            write_version(base, number)
            load.wait_for_only(number)
    return {"swaps": count, **load.figures()}


def rollbacks(double, base, model, others=()) -> dict:
    """Goes from version 1 to 2 and back under load: by moving a label, then by the version policy.

    Args:
        double, base, model: as of `swaps`; the folder holds the versions 1 and 2.
        others: `model_config`s of the other models.
    """

    def change(versions, labels=None):
        policy = "specific { " + " ".join(f"versions: {number}" for number in versions) + " }"
        double.reload(server_config(model_config(model, base, policy, labels), *others))

    change([1, 2])
    figures = {}
    with double.client(model) as client:
        wait_for(lambda: [states(client).get(number) for number in (1, 2)] == ["AVAILABLE"] * 2)
    change([1, 2], {"stable": 1})
    for kind, choice in (("label", {"label": "stable"}), ("policy", {})):
        if kind == "policy":
            change([1])
        with Load(double, model, **choice) as load:
            for number in (1, 2, 1):
                change([1, 2], {"stable": number}) if kind == "label" else change([number])
                load.wait_for_only(number)
        figures |= {f"rollback by {kind}, {name}": value for name, value in load.figures().items()}
    return figures


def _cut(path, keep):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[random.Random(1).randrange(len(data))] ^= 1
    path.write_bytes(data)


def _rename(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new))


VARIABLES = "variables/variables.data-00000-of-00001"
WARM_UP = "assets.extra/tf_serving_warmup_requests"
# What is wrong -> what is done to the folder of a version.
DAMAGES = {
    "half of saved_model.pb": lambda folder: _cut(folder / "saved_model.pb", 0.5),
    "half of the variables": lambda folder: _cut(folder / VARIABLES, 0.5),
    "a flipped bit in the variables": lambda folder: _flip(folder / VARIABLES),
    "no index of the variables": lambda folder: (folder / "variables/variables.index").unlink(),
    "no asset": lambda folder: (folder / "assets/vocabulary.txt").unlink(),
    "an unknown operation": lambda folder: _rename(folder / "saved_model.pb", b"AsString", b"NoString"),
    "a warm-up file that is none": lambda folder: (folder / WARM_UP).write_bytes(b"none" * 100),
}


def damaged(double, base, model, first) -> dict:
    """Publishes damaged versions under load: each must end with an error while the old one answers.

    Args:
        double, base, model, first: as of `swaps`.
    """
    refused = {}
    with double.client(model) as client, tempfile.TemporaryDirectory(dir=base) as beside:
        good = write_version(Path(beside) / "good", 1)
        before = max(number for number, state in states(client).items() if state == "AVAILABLE")
        with Load(double, model) as load:
            for number, (name, damage) in enumerate(DAMAGES.items(), first):
                shutil.copytree(good, Path(beside) / str(number))
                damage(Path(beside) / str(number))
                (Path(beside) / str(number)).rename(Path(base) / str(number))
                wait_for(lambda number=number: states(client).get(number) in ("END", "AVAILABLE"))
                (version,) = (v for v in client.status() if v["version"] == str(number))
                if version["state"] == "END":
                    refused[name] = version["status"]["error_message"]
        for number in range(first, first + len(DAMAGES)):
            shutil.rmtree(Path(base) / str(number))
    figures = load.figures()
    return {
        "damaged versions refused": f"{len(refused)} of {len(DAMAGES)}",
        "old version alone answered": figures.pop("versions seen") == [before],
        **figures,
        "errors": refused,
    }
