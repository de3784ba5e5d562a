"""A running test double of TF Serving for benchmarks and tests, and tiny models to tell versions apart."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from serving import stubs
from serving.client import Client
from serving.client_errors import ServingError

REPOSITORY = Path(__file__).resolve().parent.parent
READY = "test double ready: grpc "


class Double:
    """A process of `serving.local_server`.

    Args:
        arguments: of the command; ports are free ones.

    Attributes:
        grpc, rest: HOST:PORT.
        process: `subprocess.Popen`.
    """

    def __init__(self, *arguments):
        self.errors = tempfile.TemporaryFile("w+")
        command = [sys.executable, "-m", "serving.local_server", "--port", "0", "--rest_api_port", "0"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            cwd=REPOSITORY,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        line = self.process.stdout.readline()
        if not line.startswith(READY):
            self.stop()
            raise OSError(f"The test double did not start. It said: {self.said()}")
        self.grpc, _, self.rest = line.removeprefix(READY).split()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def client(self, model, rest=False, retries=0, **options) -> Client:
        """A client of one of its models."""
        return Client(self.rest if rest else self.grpc, model, rest, retries=retries, **options)

    def stop(self) -> int:
        """Asks it to end, and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    def said(self) -> str:
        """What it wrote to standard error."""
        self.errors.seek(0)
        return self.errors.read()

    def reload(self, config: str) -> None:
        """Gives it another model.config, in text form."""
        from google.protobuf import text_format

        request = stubs.model_management_pb2.ReloadConfigRequest()
        text_format.Parse(config, request.config)
        with self.client("any") as client:
            client.transport._call(client.transport.models.HandleReloadConfigRequest, request, 120)

    def resident_bytes(self) -> int:
        """Memory that it holds."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss


def model_config(name, base, policy="", labels=None) -> str:
    """One `config { ... }` of a model.config.

    Args:
        policy: of versions, in text form.
        labels: label -> version.
    """
    labelled = " ".join(f"version_labels {{ key: '{key}' value: {n} }}" for key, n in (labels or {}).items())
    policy = f"model_version_policy {{ {policy} }}" if policy else ""
    return f"config {{ name: '{name}' base_path: '{base}' model_platform: 'tensorflow' {policy} {labelled} }}"


def server_config(*models) -> str:
    """A model.config of several `model_config`s."""
    return f"model_config_list {{ {' '.join(models)} }}"


def write_version(base, number, warm_up=("a",)):
    """Writes a tiny model, text -> translation: the text with the number of the version behind it.

    It has all that a version may have: variables, a vocabulary file among its assets, a warm-up request.
    `saved_model.write` would refuse the file: exports of this project hold none.
    """
    import tensorflow as tf

    from serving import saved_model

    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder) / "vocabulary.txt"
        vocabulary.write_text("a\nb\n", encoding="utf-8")
        asset = tf.saved_model.Asset(str(vocabulary))
        initializer = tf.lookup.TextFileInitializer(
            asset,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        table = tf.lookup.StaticHashTable(initializer, -1)
        variable = tf.Variable(tf.fill([1000], tf.cast(number, tf.int64)))

        def answer(text):
            # In the vocabulary or not, what is added is the number.
            unknown = tf.minimum(table.lookup(text), 0) * 0
            return {"translation": text + " " + tf.strings.as_string(variable[0] + unknown)}

        spec = tf.TensorSpec([None], tf.string, "text")
        function = tf.function(answer, input_signature=[spec], autograph=False)
        requests = [("serving_default", {"text": list(warm_up)})]
        module = tf.Module()
        module.resources = [variable, table, asset]
        beside = Path(base) / f".incomplete-{number}"
        tf.saved_model.save(module, str(beside), signatures={"serving_default": function})
        saved_model.write_warm_up(requests, beside / saved_model.WARM_UP_FILE)
        return beside.rename(Path(base) / str(number))


def version_of(answer: dict) -> int:
    """Number of the one version that all rows of an answer of such a model come from.

    Raises:
        ValueError: there are several, or a row was changed otherwise.
    """
    numbers = {row.rpartition(" ")[2] for row in answer["translation"]}
    if len(numbers) != 1:
        raise ValueError(f"An answer must come from one version. Received: {answer}.")
    return int(numbers.pop())


def wait_for(is_true, seconds=120.0):
    """Waits until a function returns something true, and returns that; a server that refuses counts as false.

    Raises:
        TimeoutError: it did not.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(ServingError):
            found = is_true()
            if found:
                return found
        time.sleep(0.05)
    raise TimeoutError(f"After {seconds} seconds it was still false.")


def states(client) -> dict[int, str]:
    """Version -> state."""
    return {int(version["version"]): version["state"] for version in client.status()}
