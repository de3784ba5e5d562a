"""gRPC, as `client_grpc.Grpc`, without waiting."""

import grpc

from serving import client_grpc, stubs
from serving.client_errors import ServingError


class Grpc:
    """The methods of a server's gRPC service; arguments as of `upstream.Upstream`."""

    def __init__(self, target, timeout, tls):
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_reconnect_backoff_ms", 2000)]
        if tls is None:
            self.channel = grpc.aio.insecure_channel(target, options)
        else:
            credentials = grpc.ssl_channel_credentials(*tls.read())
            self.channel = grpc.aio.secure_channel(target, credentials, options)
        self.prediction = stubs.prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.timeout = timeout

    async def close(self) -> None:
        await self.channel.close()

    async def predict(self, spec, inputs) -> dict:
        """{output: nested lists} for {input: nested lists}."""
        request = client_grpc.predict_request(spec, inputs)
        return client_grpc.outputs(await self._call(self.prediction.Predict, request))

    async def metadata(self, spec) -> dict:
        """{signature: SignatureDef as JSON}."""
        request = client_grpc.metadata_request(spec)
        return client_grpc.signatures(await self._call(self.prediction.GetModelMetadata, request))

    async def _call(self, method, request):
        try:
            return await method(request, timeout=self.timeout)
        except grpc.RpcError as error:
            raise ServingError(error.code().name, error.details() or "") from None
