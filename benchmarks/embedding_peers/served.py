"""What `export` made of the run folder.

Variants: "saved_model", called in Python; "grpc", asked of the test double, which has a process of its own.
"""

import atexit
import re
import subprocess
import sys

import numpy as np

from benchmarks.embedding_peers import child
from command_line import quiet


def make(specification):
    if specification["variant"] == "grpc":
        return child.one_by_one(asked_by_grpc(specification["exported"], specification["threads"]))
    with quiet.start_up():
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  # its operations

        from benchmarks.training_peers.keras_training import limit_threads

        limit_threads(specification["threads"])
        loaded = tf.saved_model.load(specification["exported"])
        signature = loaded.signatures["embed"]

    def embed(texts):
        return signature(text=tf.constant(texts))["embedding"].numpy()

    embed.loaded = loaded  # what a signature needs lives as long as this
    return child.one_by_one(embed)


def asked_by_grpc(exported, threads):
    """A function of a batch: texts to vectors, by a server that ends with this process."""
    from serving.client import Client

    base, _, version = exported.rpartition("/")
    options = ["--model_name", "model", "--model_base_path", base, "--port", "0", "--rest_api_port", "0"]
    command = [sys.executable, "-m", "serving.local_server", *options, "--threads", str(threads)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    atexit.register(server.terminate)
    target = re.search(r"grpc (\S+)", server.stdout.readline()).group(1)
    client = Client(target, "model", signature="embed", version=int(version))

    def embed(texts):
        return np.asarray(client.predict({"text": texts})["embedding"], "float32")

    return embed


if __name__ == "__main__":
    child.serve(make)
