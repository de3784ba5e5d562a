"""The processes that tokenize for training.prepare on several machines: a tf.data service.

python -m training.data_service dispatcher --port 5050
python -m training.data_service worker --dispatcher 10.0.0.1:5050 --host 10.0.0.2 --port 5051

The dispatcher hands out the work, the workers do it, until they are ended. See docs/scaling.md.
"""

import signal
import sys
import time
from typing import Literal

import command_line
from command_line import quiet
from training import addresses

# After so many seconds without a sign of life a worker counts as gone.
WORKER_TIMEOUT = 15
HEARTBEAT = 1  # seconds


def main(arguments=None) -> None:
    """Reads the command line and serves until SIGTERM."""
    parser = command_line.parser("training.data_service", __doc__)
    parser.add_argument("role", type=Literal["dispatcher", "worker"], help="what this process is")
    parser.add_argument("--port", type=int, default=0, help="to listen on; 0 for a free one")
    parser.add_argument("--dispatcher", type=str, help="of a worker: HOST:PORT of its dispatcher")
    parser.add_argument(
        "--host", type=str, default="localhost", help="of a worker: the name under which others reach it"
    )
    options = parser.parse_args(arguments)
    if (options.role == "worker") != (options.dispatcher is not None):
        raise ValueError(f"A worker, and it alone, needs --dispatcher. Received: {options.dispatcher}.")
    # TensorFlow would share the port with another dispatcher, or ask one that is not there for ever.
    addresses.check_free(options.port)
    if options.role == "worker":
        addresses.check_answers(f"grpc://{options.dispatcher}")
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer import tokenizers  # noqa: F401  The ops of the graphs that come.
    service = tf.data.experimental.service
    if options.role == "dispatcher":
        config = service.DispatcherConfig(options.port, worker_timeout_ms=1000 * WORKER_TIMEOUT)
        server = service.DispatchServer(config)
        address = server.target
    else:
        server = service.WorkerServer(
            service.WorkerConfig(
                options.dispatcher,
                worker_address=f"{options.host}:%port%",
                port=options.port,
                heartbeat_interval_ms=1000 * HEARTBEAT,
            )
        )
        address = f"grpc://{server._address}"
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"{options.role}: {address}", flush=True)
    while True:
        time.sleep(1)  # `server.join()` would hear no signal


if __name__ == "__main__":
    command_line.run(main)
