"""The REST side of the local test double: paths and status codes as http_rest_api_handler.cc has them.

Different from TF Serving on purpose: a body of more than `max_body_bytes`, also once it is inflated, is
refused with 413, and a client that takes longer than `client_seconds` to send it with 408.
"""

import asyncio
import re
import urllib.parse
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from serving import local_json, versions
from serving.local_servable import StatusError

CHOICE = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
POST = re.compile(rf"/v1/models/(?P<name>[^/:]+){CHOICE}:(?P<method>classify|regress|predict)", re.IGNORECASE)
GET = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+){CHOICE}(?P<method>/metadata)?)?", re.IGNORECASE)
PATHS = {"POST": POST, "GET": GET}
# ToHTTPStatusCode; all others are 500.
HTTP = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class Rest:
    """Answers HTTP requests.

    Args:
        models: `local_models.Models`.
        seconds: that a prediction may take, its wait included.
        client_seconds: that a client may take to send its body.
        max_body_bytes: of a body, inflated.
    """

    def __init__(self, models, seconds, client_seconds, max_body_bytes):
        self.models, self.seconds = models, seconds
        self.client_seconds, self.max_body_bytes = client_seconds, max_body_bytes

    async def __call__(self, request) -> web.Response:
        """The handler of an `aiohttp.web.Server`."""
        status = 200
        try:
            body = await self._answer(request, await self._body(request))
        except StatusError as error:
            status, body = HTTP.get(error.code.name, 500), local_json.dump({"error": str(error)})
        except web.HTTPException as error:
            status, body = error.status, local_json.dump({"error": error.text})
        response = web.Response(status=status, body=body, content_type="application/json")
        if status in (408, 413):  # The rest of the body is not waited for.
            response.force_close()
        return response

    async def _body(self, request):
        body = bytearray()
        try:
            async with asyncio.timeout(self.client_seconds):
                async for chunk in request.content.iter_chunked(2**16):
                    body += chunk
                    if len(body) > self.max_body_bytes:
                        text = f"A body holds at most {self.max_body_bytes} bytes."
                        raise web.HTTPRequestEntityTooLarge(self.max_body_bytes, len(body), text=text)
        except TimeoutError:
            text = f"The body did not come within {self.client_seconds} seconds."
            raise web.HTTPRequestTimeout(text=text) from None
        except web.RequestPayloadError as error:  # Broken gzip, broken chunks.
            raise web.HTTPBadRequest(text=f"{error}") from error
        return bytes(body)

    async def _answer(self, request, body):
        path = request.rel_url.raw_path
        if not path.lower().startswith("/v1/"):
            raise web.HTTPNotFound()
        pattern = PATHS.get(request.method)
        found = pattern and pattern.fullmatch(path)
        if not found:
            raise StatusError("INVALID_ARGUMENT", f"Malformed request: {request.method} {path}")
        model = predict_pb2.PredictRequest().model_spec
        model.name = text_of(found["name"])
        if not model.name:
            raise StatusError("INVALID_ARGUMENT", "Missing model name in request.")
        if found["version"]:
            number = versions.number_of(found["version"])
            if number is None:
                message = f"Failed to convert version: {found['version']} to numeric."
                raise StatusError("INVALID_ARGUMENT", message)
            model.version.value = number
        elif found["label"]:
            model.version_label = text_of(found["label"])
        if request.method == "POST":
            return await self._predict(body, found["method"].lower(), model)
        if found["method"]:
            asked = get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=model, metadata_field=["signature_def"]
            )
            answer = await self.models.metadata(asked)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            answer.metadata["signature_def"].Unpack(signatures)
            metadata = {"signature_def": as_dict(signatures)}
            return local_json.dump({"model_spec": as_dict(answer.model_spec), "metadata": metadata})
        asked = get_model_status_pb2.GetModelStatusRequest(model_spec=model)
        return local_json.dump(as_dict(await self.models.status(asked)))

    async def _predict(self, body, method, model):
        if method != "predict":
            raise StatusError("UNIMPLEMENTED", f"The test double has no {method}.")
        asked = predict_pb2.PredictRequest(model_spec=model)
        by_rows = local_json.fill_request(body, asked, lambda: self.models.find(model).signatures)
        return local_json.answer(await self.models.predict(asked, self.seconds), by_rows)


def text_of(part) -> str:
    """A part of a path, URL-decoded."""
    return urllib.parse.unquote(part or "")


def as_dict(message) -> dict[str, Any]:
    """A proto message as TF Serving's JSON has it."""
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
