"""TF Serving, asked without waiting for each other: over REST or gRPC, whichever its port speaks."""

import asyncio
import ssl
import urllib.parse
from typing import Any

import httpx

from keras_transformer_programs import installation
from serving import client_rest
from serving.client import Spec
from serving.client_errors import ServingError, understood

NOT_THERE = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class Upstream:
    """The server of the models.

    Args:
        target: HOST:PORT.
        timeout: seconds that an answer may take.
        tls: `client.Tls`; None for a connection in the clear.

    Raises:
        ValueError, OSError: a certificate or key cannot be read.

    All methods raise `ServingError`. The port is asked what it speaks at the first request that reaches it.
    """

    def __init__(self, target, timeout=30.0, tls=None):
        if tls is not None:
            tls.read()  # what is wrong with the files is told at once
        self.target, self.timeout, self.tls = target, timeout, tls
        self.transport = None
        self.choosing = asyncio.Lock()

    async def predict(self, model, signature, inputs) -> dict:
        """{output: nested lists} for {input: nested lists}."""
        return await (await self._spoken(model)).predict(Spec(model, signature), inputs)

    async def metadata(self, model) -> dict:
        """{signature: SignatureDef as JSON}."""
        return await (await self._spoken(model)).metadata(Spec(model))

    async def close(self) -> None:
        """Closes the connections."""
        if self.transport is not None:
            await self.transport.close()

    async def _spoken(self, model):
        async with self.choosing:
            if self.transport is None:
                self.transport = await self._chosen(model)
        return self.transport

    async def _chosen(self, model):
        rest = Rest(self.target, self.timeout, self.tls)
        try:
            await rest.metadata(Spec(model))
            return rest
        except ServingError as error:
            if error.code not in NOT_THERE:  # it answered
                return rest
            await rest.close()
            if self.tls is None and isinstance(error.__cause__, httpx.ConnectError):
                raise  # nobody listens: neither speaks
            told = error
        try:
            from serving.web.upstream_grpc import Grpc  # only here: TF Serving's stubs are another extra's
        except ModuleNotFoundError as error:
            raise ServingError("UNIMPLEMENTED", f"{told}; {installation.explained(error)}") from None
        grpc = Grpc(self.target, self.timeout, self.tls)
        try:
            await grpc.metadata(Spec(model))
            return grpc
        except ServingError as error:
            if error.code not in NOT_THERE:
                return grpc
            await grpc.close()
            raise told from None


class Rest:
    """REST, as `client_rest.Rest`."""

    def __init__(self, target, timeout, tls):
        verify: Any = False  # in the clear there is nothing to verify, and no list of authorities to read
        if tls is not None:
            verify = ssl.create_default_context(cafile=tls.ca)
            if tls.certificate:
                verify.load_cert_chain(tls.certificate, tls.key)
        # What the environment says of proxies is not meant for a server beside this one.
        self.base = f"{'http' if tls is None else 'https'}://{target}/v1/models/"
        self.client = httpx.AsyncClient(
            timeout=timeout,
            verify=verify,
            trust_env=False,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=30),
        )
        self.timeout = timeout

    async def close(self) -> None:
        await self.client.aclose()

    async def predict(self, spec, inputs) -> dict:
        """{output: nested lists}; an output that is alone has no name over REST: it is called ""."""
        body = {"inputs": {name: client_rest.plain(value) for name, value in inputs.items()}}
        if spec.signature is not None:
            body["signature_name"] = spec.signature
        found = await self._call("POST", spec, ":predict", body)
        with understood():
            outputs = found["outputs"]
            outputs = outputs if isinstance(outputs, dict) else {"": outputs}
            return {name: client_rest.decoded(value) for name, value in outputs.items()}

    async def metadata(self, spec) -> dict:
        """{signature: SignatureDef as JSON}."""
        found = await self._call("GET", spec, "/metadata")
        with understood():
            return dict(found["metadata"]["signature_def"]["signature_def"])

    async def _call(self, verb, spec, end, body=None):
        url = self.base + urllib.parse.quote(spec.model, safe="") + end
        try:
            # The whole answer, not only each part of it.
            async with asyncio.timeout(self.timeout):
                try:
                    answer = await self.client.request(verb, url, json=body)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # A connection that was kept, and that the server has closed meanwhile.
                    answer = await self.client.request(verb, url, json=body)
        except (TimeoutError, httpx.TimeoutException):
            raise ServingError("DEADLINE_EXCEEDED", f"no answer in {self.timeout:g} seconds") from None
        except httpx.HTTPError as error:
            raise ServingError("UNAVAILABLE", f"{error}") from error
        return client_rest.understood_answer(answer.status_code, answer.content)
