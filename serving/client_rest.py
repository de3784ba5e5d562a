"""REST transport of `serving.client`."""

import base64
import json
import urllib.parse
from typing import Any

import urllib3

from serving.client_errors import ServingError, understood

# Where gRPC has several codes for one of HTTP, the one that a client meets.
CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Rest:
    """The methods of a server's REST paths; arguments as of `client.Client`."""

    def __init__(self, target, retries, tls):
        given = {}
        if tls is not None:
            given = {"ca_certs": tls.ca, "cert_file": tls.certificate, "key_file": tls.key}
            tls.read()  # Files that are not there are told at once.
        retry = urllib3.Retry(
            total=retries,
            read=0,
            status_forcelist=[503],
            allowed_methods=None,
            backoff_factor=0.1,
            raise_on_status=False,
        )
        self.pool = urllib3.PoolManager(maxsize=256, retries=retry, **given)
        self.base = f"{'http' if tls is None else 'https'}://{target}/v1/models/"
        self.single_outputs = {}

    def close(self) -> None:
        self.pool.clear()

    def predict(self, spec, inputs, timeout) -> dict:
        """{output: nested lists} for {input: nested lists}."""
        body = {"inputs": {name: plain(value) for name, value in inputs.items()}}
        if spec.signature is not None:
            body["signature_name"] = spec.signature
        found = self._call("POST", spec, ":predict", timeout, body)
        with understood():
            outputs = found["outputs"]
            if not isinstance(outputs, dict):
                outputs = {self._single_output(spec, timeout): outputs}
            return {name: decoded(value) for name, value in outputs.items()}

    def metadata(self, spec, timeout) -> dict:
        """{signature: SignatureDef as JSON}."""
        found = self._call("GET", spec, "/metadata", timeout)
        with understood():
            return dict(found["metadata"]["signature_def"]["signature_def"])

    def status(self, spec, timeout) -> list:
        """[{version, state, status}]."""
        found = self._call("GET", spec, "", timeout)
        with understood():
            return list(found["model_version_status"])

    def _single_output(self, spec, timeout):
        # REST leaves out the name of an output that is alone.
        if spec not in self.single_outputs:
            signature = self.metadata(spec, timeout)[spec.signature or "serving_default"]
            (self.single_outputs[spec],) = signature["outputs"]
        return self.single_outputs[spec]

    def _call(self, verb, spec, end, timeout, body=None):
        for name, value in (("model", spec.model), ("label", spec.label)):
            if value in (".", ".."):  # Those who read a URL take them for folders, quoted or not.
                raise ValueError(
                    f"`{name}` must be no dots alone over REST, where they cannot stand in a path. "
                    f"Received: {name}={value!r}."
                )
        url = self.base + urllib.parse.quote(spec.model, safe="")
        if spec.version is not None:
            url += f"/versions/{spec.version}"
        elif spec.label is not None:
            url += f"/labels/{urllib.parse.quote(spec.label, safe='')}"
        data = None if body is None else json.dumps(body).encode()
        try:
            answer = self.pool.request(
                verb, url + end, body=data, timeout=timeout, headers={"Content-Type": "application/json"}
            )
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            # A refused connection counts as a time-out there.
            is_late = isinstance(reason, urllib3.exceptions.TimeoutError)
            is_late = is_late and not isinstance(reason, urllib3.exceptions.NewConnectionError)
            raise ServingError("DEADLINE_EXCEEDED" if is_late else "UNAVAILABLE", f"{reason}") from None
        return understood_answer(answer.status, answer.data)


def understood_answer(status: int, data: bytes) -> dict:
    """The object of an answer.

    Raises:
        ServingError: it is an error, or no object in JSON.
    """
    try:
        found = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        found = {"error": f"HTTP {status}, and no object in JSON: is this a server of models?"}
    if status != 200 or "error" in found:
        raise ServingError(CODES.get(status, "INTERNAL"), f"{found.get('error', status)}")
    return found


def plain(value) -> Any:
    """Nested lists with bytes as JSON has them."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def decoded(value) -> Any:
    """Nested lists of an answer, with bytes for {"b64": ...}."""
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [decoded(item) for item in value] if isinstance(value, list) else value
