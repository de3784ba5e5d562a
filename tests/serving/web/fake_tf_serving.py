"""TF Serving as far as the page asks it: models are functions of Python, with what is to go wrong."""

import asyncio
import contextlib
import threading

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TEXT = {"dtype": "DT_STRING"}
SIGNATURES = {
    "serving_default": {"inputs": {"text": TEXT}, "outputs": {"translation": TEXT}},
    "translate_nbest": {
        "inputs": {"text": TEXT},
        "outputs": {"translations": TEXT, "scores": {"dtype": "DT_FLOAT"}},
    },
    "align": {
        "inputs": {"text": TEXT},
        "outputs": {
            "translation": TEXT,
            "source_tokens": TEXT,
            "target_tokens": TEXT,
            "attention": {"dtype": "DT_FLOAT"},
        },
    },
}


class FakeServing:
    """An application; its models are functions, text -> translations, the best first.

    Attributes:
        requests: (signature, texts) of each request that came.
        given_up: requests whose client went away first.
        seconds: that an answer takes.
        problem: (status, body) that is answered to all, or None.
        without: signatures that no model has.
    """

    def __init__(self, **models):
        self.models = models
        self.requests, self.given_up, self.seconds, self.problem, self.without = [], 0, 0.0, None, set()
        self.app = Starlette(
            routes=[
                Route("/v1/models/{name}/metadata", self.metadata),
                Route("/v1/models/{name}:predict", self.predict, methods=["POST"]),
            ]
        )

    async def metadata(self, request):
        if problem := self._problem(request):
            return problem
        signatures = {name: found for name, found in SIGNATURES.items() if name not in self.without}
        return JSONResponse({"metadata": {"signature_def": {"signature_def": signatures}}})

    async def predict(self, request):
        body = await request.json()
        texts = body["inputs"]["text"]
        self.requests.append((body["signature_name"], texts))
        waiting = asyncio.ensure_future(asyncio.sleep(self.seconds))
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=0.02)
                if await request.is_disconnected():
                    self.given_up += 1
                    return Response()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            waiting.cancel()
        if problem := self._problem(request):
            return problem
        if "refuse me" in texts:
            return JSONResponse({"error": "assertion failed: [...] [[{{node x}}]] Traceback"}, 400)
        translate = self.models[request.path_params["name"]]
        answers = [translate(text) for text in texts]
        return JSONResponse({"outputs": OUTPUTS[body["signature_name"]](texts, answers)})

    def _problem(self, request):
        name = request.path_params["name"]
        if self.problem:
            return Response(self.problem[1], self.problem[0], media_type="application/json")
        if name not in self.models:
            return JSONResponse({"error": f"Servable not found for request: Latest({name})"}, 404)
        return None


def best(_, answers):
    return [found[0] for found in answers]


def n_best(_, answers):
    most = max(map(len, answers))
    lowest = -3.4028235e38
    return {
        "translations": [[*found, *[""] * (most - len(found))] for found in answers],
        "scores": [[-0.5 * (n + 1) if n < len(found) else lowest for n in range(most)] for found in answers],
    }


def align(texts, answers):
    """Each word attends to that in its place, and a little to all."""
    sources = [["\u2581" + word for word in text.split()] + ["</s>"] for text in texts]
    targets = [["\u2581" + word for word in found[0].split()] + ["</s>"] for found in answers]
    longest = max(map(len, sources)), max(map(len, targets))
    attention = [
        [
            [0.8 if t == s else 0.2 / len(source) if t < len(target) else 0.0 for s in range(longest[0])]
            for t in range(longest[1])
        ]
        for source, target in zip(sources, targets, strict=True)
    ]
    return {
        "translation": [found[0] for found in answers],
        "source_tokens": [row + [""] * (longest[0] - len(row)) for row in sources],
        "target_tokens": [row + [""] * (longest[1] - len(row)) for row in targets],
        "attention": attention,
    }


OUTPUTS = {"serving_default": best, "translate_nbest": n_best, "align": align}


@contextlib.contextmanager
def running(app, port=0):
    """Serves an application on a free port of this machine, or the one given; gives HOST:PORT."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    listening = config.bind_socket()
    listening.listen(128)  # who asks before the server runs waits for it
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
