"""A page to translate with, and an HTTP API: python -m serving.web --target HOST:PORT --model NAME

In front of TF Serving, at its REST or its gRPC port. The page translates as one types. Clients that speak
LibreTranslate's API (/translate, /languages, /detect) work with it unchanged; /docs describes it.

--model may be given several times. NAME=SOURCE:TARGET, say opus=en:de, says what languages a model
translates between; without them its name stands for both.
"""

import sys

import command_line
from serving import client, client_target

# What an option may be, at least and at most.
RANGES = {"port": (0, 65535), "timeout": (0.1, 3600), "max_rows": (1, 4096), "max_characters": (1, 10**7)}


def main(arguments=None) -> None:
    """Reads the command line and serves until SIGTERM or SIGINT."""
    parser = command_line.parser("serving.web", __doc__)
    parser.add_argument("--target", type=str, required=True, help="HOST:PORT of TF Serving, REST or gRPC")
    parser.add_argument(
        "--model",
        type=str,
        required=True,
        action="append",
        metavar="NAME[=SOURCE:TARGET]",
        help="a model that is served there, and its languages; may be given several times",
    )
    parser.add_argument("--host", type=str, default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5000, help="0 takes a free one")
    parser.add_argument("--keys", type=str, help="JSON file of keys and limits; without it anybody may ask")
    parser.add_argument("--max_characters", type=int, default=20_000, help="of a request, without --keys")
    parser.add_argument("--max_rows", type=int, default=32, help="sentences in a request to TF Serving")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds that TF Serving may take")
    client.add_tls(parser)
    options = parser.parse_args(arguments)
    client_target.check(options.target)
    for name, (least, most) in RANGES.items():
        if not least <= options[name] <= most:
            raise ValueError(f"`{name}` must be from {least} to {most}. Received: {name}={options[name]}.")

    # Help answers without them.
    from serving.web import app, keys, models, server, upstream

    path = options["keys"]  # `options.keys` is a method
    allowance = keys.read(path) if path else keys.open_to_all(options.max_characters)
    asked = upstream.Upstream(options.target, options.timeout, client.tls(options))
    served = models.Models.read(options.model, asked, options.max_rows)
    application = app.create(served, allowance)

    def ready(address):
        print(f"serving.web ready: http://{address}/", flush=True)

    def say(line):
        print(line, file=sys.stderr, flush=True)

    server.run(application, options.host, options.port, ready, lambda: served.check(say))
