"""The test double in this process, on a model that a function of the test plays, and that may wait."""

import asyncio
import contextlib
import threading
import types
from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import local_server
from serving.local_models import Models, State, Version

OPTIONS = {
    "host": "127.0.0.1",
    "port": 0,
    "rest_api_port": 0,
    "rest_api_timeout_in_ms": 60_000,
    "max_body_bytes": 2**20,
    "client_seconds": 60.0,
    "ssl_key": None,
    "ssl_certificate": None,
    "ssl_ca": None,
}


class Played:
    """A model "m": text -> translation. `answer` makes a list of texts of a list of texts, or raises."""

    number = 1

    def __init__(self, answer):
        self.answer, self.calls = answer, 0
        signature = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for infos, name in ((signature.inputs, "text"), (signature.outputs, "translation")):
            infos[name].dtype = tf.string.as_datatype_enum
            infos[name].tensor_shape.dim.add(size=-1)
        self.signatures = {"serving_default": signature}

    def predict(self, request):
        self.calls += 1
        answers = self.answer([text.decode() for text in request.inputs["text"].string_val])
        response = predict_pb2.PredictResponse()
        response.outputs["translation"].CopyFrom(tf.make_tensor_proto(answers))
        return response


@contextlib.contextmanager
def served(played, threads=2, queue=8, **changes):
    """Serves a `Played`; `changes` are options of the command.

    Yields:
        An object with `grpc` and `rest`, HOST:PORT each; `models`; and `stop()`, which stops as SIGTERM does
        and returns the concurrent future of it.
    """
    options = types.SimpleNamespace(**OPTIONS | changes)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def on_loop(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    async def start():
        models = Models(model_server_config_pb2.ModelServerConfig(), threads, queue)
        models.versions["m"] = {1: Version(Path(), State.AVAILABLE, played)}
        rpc, rpc_port, http, http_port = await local_server.start(models, options)
        return types.SimpleNamespace(
            models=models,
            grpc=f"localhost:{rpc_port}",
            rest=f"127.0.0.1:{http_port}",
            stop=lambda: on_loop(local_server.stop(rpc, http, 60)),
        )

    try:
        server = on_loop(start()).result()
        yield server
        server.stop().result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Gate:
    """An answer that waits until the test opens it, and says when somebody waits there."""

    def __init__(self):
        self.opened, self.waiting = threading.Event(), threading.Semaphore(0)

    def __call__(self, texts):
        self.waiting.release()
        assert self.opened.wait(60)
        return texts
