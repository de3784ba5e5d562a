"""A test double of TF Serving: python -m serving.local_server --model_name NAME --model_base_path DIR

For machines without Docker. It answers the same REST paths and gRPC services: Predict, GetModelMetadata,
GetModelStatus and HandleReloadConfigRequest. It polls the numbered folders of its models, swaps versions
without a gap, and refuses what TF Serving refuses, in the same words. It is for tests and for trying things
out: it has none of TF Serving's speed, and must not be reached from outside.

Options that TF Serving has are called as there. When it serves it prints one line with its addresses; on
SIGTERM it answers what it has and exits with 0.
"""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path
from typing import Any

import command_line
from command_line import quiet
from serving import pem

# What an option may be, at least and at most. gRPC takes the lowest 16 bits of a port that is too large, and
# its sizes are int32.
RANGES = {
    "port": (0, 65535),
    "rest_api_port": (0, 65535),
    "file_system_poll_wait_seconds": (0, 10**6),
    "rest_api_timeout_in_ms": (1, 10**9),
    "threads": (1, 4096),
    "queue": (0, 2**31 - 1),
    "max_body_bytes": (1, 2**31 - 1),
    "client_seconds": (0.001, 10**6),
}


def main(arguments=None) -> None:
    """Reads the command line and serves until SIGTERM."""
    parser = command_line.parser("serving.local_server", __doc__)
    parser.add_argument("--model_name", type=str, help="the one model, with --model_base_path")
    parser.add_argument("--model_base_path", type=str, help="folder of its versions")
    parser.add_argument("--model_config_file", type=str, help="several models, instead: a model.config")
    parser.add_argument("--host", type=str, default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8500, help="of gRPC; 0 takes a free one")
    parser.add_argument("--rest_api_port", type=int, default=8501, help="of REST; 0 takes a free one")
    parser.add_argument("--ssl_key", type=str, help="PEM file for TLS of gRPC, with --ssl_certificate")
    parser.add_argument("--ssl_certificate", type=str, help="PEM file of the server's certificate")
    parser.add_argument("--ssl_ca", type=str, help="PEM file of the authority that clients must be signed by")
    parser.add_argument(
        "--file_system_poll_wait_seconds",
        type=float,
        default=1.0,
        help="between two looks at the folders; 0 looks once",
    )
    parser.add_argument(
        "--rest_api_timeout_in_ms", type=int, default=30_000, help="that a REST request may take"
    )
    parser.add_argument("--threads", type=int, help="requests that run at once; the number of CPUs if absent")
    parser.add_argument(
        "--queue", type=int, default=256, help="requests that may wait; one more is refused at once"
    )
    parser.add_argument("--max_body_bytes", type=int, default=2**24, help="of a request, inflated")
    parser.add_argument(
        "--client_seconds", type=float, default=10.0, help="that a client may take to send one"
    )
    options = parser.parse_args(arguments)
    one = (options.model_name is not None, options.model_base_path is not None)
    if one != (options.model_config_file is None,) * 2:
        raise ValueError(
            "Give --model_name and --model_base_path, or --model_config_file. Received: "
            f"model_name={options.model_name}, model_base_path={options.model_base_path}, "
            f"model_config_file={options.model_config_file}."
        )
    tls = [name for name in ("ssl_key", "ssl_certificate", "ssl_ca") if options[name] is not None]
    if tls and tls[:2] != ["ssl_key", "ssl_certificate"]:
        raise ValueError(f"TLS needs --ssl_key and --ssl_certificate. Received: {', '.join(tls)}.")
    for name, (least, most) in RANGES.items():
        if options[name] is not None and not least <= options[name] <= most:
            raise ValueError(f"`{name}` must be from {least} to {most}. Received: {name}={options[name]}.")
    asyncio.run(serve(options))


async def serve(options) -> None:
    """Loads the models and answers until SIGTERM or SIGINT.

    Args:
        options: the command's.

    Raises:
        ValueError: the configuration or a certificate cannot be read, or a model has no version that can be
            loaded.
        OSError: a port is taken.
    """
    with quiet.start_up():
        from tensorflow_serving.config import model_server_config_pb2

        # The second is used later: what is missing is told before a model is loaded.
        from serving import local_models, local_rest  # noqa: F401
        from serving.local_servable import StatusError
    config = model_server_config_pb2.ModelServerConfig()
    if options.model_config_file:
        path = Path(options.model_config_file)
        try:
            local_models.read_proto(path.read_text(encoding="utf-8"), config)
        except UnicodeDecodeError as error:
            raise ValueError(f"A configuration must be UTF-8. Received: {path}: {error}.") from error
    else:
        config.model_config_list.config.add(name=options.model_name, base_path=options.model_base_path)
    try:
        models = local_models.Models(config, options.threads or os.cpu_count() or 1, options.queue)
        await models.poll()
    except StatusError as error:
        raise ValueError(
            f"Each model must have a name and a folder of its own. Received: {error}."
        ) from error
    models.check_all_served()

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    rpc, rpc_port, http, http_port = await start(models, options)
    rpc_address, http_address = (address(options.host, number) for number in (rpc_port, http_port))
    print(f"test double ready: grpc {rpc_address} rest {http_address}", flush=True)

    polling = asyncio.create_task(poll(models, options.file_system_poll_wait_seconds))
    await stopped.wait()
    polling.cancel()
    await stop(rpc, http, options.rest_api_timeout_in_ms / 1000)


async def start(models, options) -> tuple[Any, int, Any, int]:
    """Starts gRPC and REST, or none of them: each server and its port."""
    rpc, rpc_port = await start_grpc(models, options)
    try:
        return rpc, rpc_port, *await start_rest(models, options)
    except OSError:
        await rpc.stop(0)
        raise


async def stop(rpc, http, seconds) -> None:
    """Takes no new requests and answers those that came, for so many seconds at most."""
    await asyncio.gather(rpc.stop(seconds), http.cleanup())


async def poll(models, seconds) -> None:
    """Looks at the folders again and again; with 0 seconds never again."""
    from serving.local_servable import StatusError

    while seconds:
        await asyncio.sleep(seconds)
        with contextlib.suppress(StatusError):  # A folder that is not there now may be later.
            await models.poll()


async def start_grpc(models, options) -> tuple[Any, int]:
    """The running gRPC server, and its port."""
    import grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    from serving.local_servable import StatusError

    def answered_by(method):
        async def handle(_, request, context):
            # When the caller's deadline passes, gRPC cancels this, and with it what waits for its turn.
            try:
                return await method(request)
            except StatusError as error:
                await context.abort(error.code, str(error))

        return handle

    class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
        Predict = answered_by(models.predict)
        GetModelMetadata = answered_by(models.metadata)

    class Management(model_service_pb2_grpc.ModelServiceServicer):
        GetModelStatus = answered_by(models.status)
        HandleReloadConfigRequest = answered_by(models.reload)

    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", options.max_body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),  # A port that is taken is an error.
            # Else the library cancels what stands behind 1,000 to 3,000 others before it is seen here.
            ("grpc.server.max_pending_requests", 2**30),
            ("grpc.server.max_pending_requests_hard_limit", 2**30),
        ]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Prediction(), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Management(), server)
    place = address(options.host, options.port)
    try:
        if options.ssl_key:
            port = server.add_secure_port(place, credentials(options))
        else:
            port = server.add_insecure_port(place)
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {place}: {error}") from error
    await server.start()
    return server, port


def address(host, port) -> str:
    """HOST:PORT, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def credentials(options) -> Any:
    """Of the server: its key and certificate; with an authority, clients must have a certificate of it."""
    import grpc

    files = (options.ssl_key, options.ssl_certificate, options.ssl_ca)
    key, certificate, ca = map(pem.read, files)
    return grpc.ssl_server_credentials([(key, certificate)], ca, ca is not None)


async def start_rest(models, options) -> tuple[Any, int]:
    """The runner of the HTTP server, and its port."""
    from aiohttp import http_exceptions, web

    from serving.local_rest import Rest

    # What is no HTTP is the client's fault, and is answered with 400; no traceback for it.
    logging.getLogger("aiohttp.server").addFilter(
        lambda record: (
            not (record.exc_info and isinstance(record.exc_info[1], http_exceptions.HttpProcessingError))
        )
    )
    seconds = options.rest_api_timeout_in_ms / 1000
    handler = Rest(models, seconds, options.client_seconds, options.max_body_bytes)
    # The first covers clients who are slow to send the head of a request, too.
    limits = {"keepalive_timeout": options.client_seconds, "lingering_time": 0, "access_log": None}
    runner = web.ServerRunner(web.Server(handler, **limits), shutdown_timeout=seconds)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.rest_api_port, backlog=4096).start()
    return runner, runner.addresses[0][1]


if __name__ == "__main__":
    command_line.run(main)
