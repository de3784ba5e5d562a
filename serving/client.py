"""Asks a served model: python -m serving.client --target HOST:PORT --model NAME [TEXT ...] [--input FILE]

Over gRPC, or over REST with --rest: each has a port of its own. Without a text or a file, lines come from
standard input, and answers keep their order. A signature with one output of texts answers a line with a
line, any other with an object in JSON. --status tells the versions of the model, --metadata its signatures.
"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import command_line
from command_line import lines
from keras_transformer_programs import installation
from serving import client_lines, client_target, pem, versions
from serving.client_errors import ServingError, understood

# The C libraries below count seconds in less than Python.
MAX_SECONDS = 1_000_000


@dataclasses.dataclass(frozen=True)
class Tls:
    """Certificates, files in PEM.

    Args:
        ca: of the authorities that the server's certificate is checked with; the system's if None.
        certificate, key: the client's own, where the server asks for one.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    def read(self) -> list[bytes | None]:
        """Contents of the ca, key and certificate; None for those that are not given.

        Raises:
            ValueError: only one of certificate and key is given, or a file is no PEM.
            OSError: a file cannot be read.
        """
        if (self.certificate is None) != (self.key is None):
            raise ValueError(
                "A client's certificate and its key belong together. "
                f"Received: certificate={self.certificate}, key={self.key}."
            )
        return [pem.read(path) for path in (self.ca, self.key, self.certificate)]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What is asked: a model, its newest version unless one is named by number or label."""

    model: str
    signature: str | None = None
    version: int | None = None
    label: str | None = None


class Client:
    """Asks one model of a server.

    Args:
        target: "HOST:PORT"; an IPv6 address in brackets.
        model: name of the model.
        rest: whether REST is spoken at that port, and not gRPC.
        signature: name; serving_default if None.
        version, label: number or label of the version, not both; the newest if None.
        timeout: seconds that an answer may take; over gRPC all attempts together, over REST each.
        retries: further attempts, with growing pauses, when the server is UNAVAILABLE; 0 to 4.
        tls: `Tls`; None for a connection in the clear.

    Raises:
        ValueError: an argument is out of range, or a package is missing.
        OSError: a certificate cannot be read.

    All methods raise `ServingError`, an OSError with a `code`, if there is no
    answer, or an error in its place.
    """

    def __init__(
        self,
        target,
        model,
        rest=False,
        signature=None,
        version=None,
        label=None,
        timeout=30.0,
        retries=4,
        tls=None,
    ):
        client_target.check(target)
        for name, value in (("model", model), ("signature", signature), ("label", label)):
            if value is not None and not is_text(value):
                raise ValueError(
                    f"`{name}` must be a text that has a form in UTF-8. Received: {value!r:.80}."
                )
        if version is not None and label is not None:
            raise ValueError(f"Give a version or a label. Received: version={version}, label={label}.")
        if version is not None and not 0 <= version <= versions.MAX_VERSION:
            raise ValueError(f"`version` must be from 0 to {versions.MAX_VERSION}. Received: {version}.")
        if not 0 < timeout <= MAX_SECONDS:
            raise ValueError(
                f"`timeout` must be positive, at most {MAX_SECONDS} seconds. Received: timeout={timeout}."
            )
        if not 0 <= retries <= 4:  # gRPC's own limit
            raise ValueError(f"`retries` must be from 0 to 4. Received: retries={retries}.")
        self.spec = Spec(model, signature, version, label)
        self.timeout = timeout
        # Only what is spoken is imported.
        try:
            if rest:
                from serving.client_rest import Rest as Transport
            else:
                from serving.client_grpc import Grpc as Transport
        except ModuleNotFoundError as error:
            raise installation.explained(error) from None
        self.transport = Transport(target, retries, tls)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self.transport.close()

    def predict(self, inputs) -> dict:
        """Answers {output: nested lists} for {input: nested lists}, the batch first.

        Values are str, bytes, bool, int or float. Texts that are answered are str; bytes if the output's
        name ends in _bytes.
        """
        return self.transport.predict(self.spec, inputs, self.timeout)

    def rows(self, texts) -> list[dict] | dict:
        """For each text {output: its row}, of a signature with one input, of texts or bytes.

        One text that is not in a list is answered with its own.

        Raises:
            ValueError: there is no such signature, it has several inputs, or does not answer in rows.
        """
        if isinstance(texts, str | bytes):
            return self.rows([texts])[0]
        texts = list(texts)
        if not texts:
            return []
        outputs = self.predict({self.input_name(): texts})
        wrong = [
            name for name, rows in outputs.items() if not (isinstance(rows, list) and len(rows) == len(texts))
        ]
        if wrong or not outputs:
            raise ValueError(
                "The signature must answer each text with a row. "
                f"Received: another number of rows, as {', '.join(wrong) or 'no output'}."
            )
        return [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]

    def input_name(self) -> str:
        """Name of the signature's one input; the server is asked once.

        Raises:
            ValueError: there is no such signature, or it has several inputs.
        """
        if not hasattr(self, "_input_name"):
            known, name = self.metadata(), self.spec.signature or "serving_default"
            if name not in known:
                raise ValueError(f"The model's signatures are {', '.join(sorted(known))}. Received: {name}.")
            inputs = sorted(known[name]["inputs"])
            if len(inputs) != 1:
                raise ValueError(f"The signature must have one input. Received: {name}, with {inputs}.")
            (self._input_name,) = inputs
        return self._input_name

    def metadata(self) -> dict:
        """The signatures: {name: SignatureDef as JSON}."""
        found = self.transport.metadata(self.spec, self.timeout)
        # TensorFlow's own begin so.
        return {name: signature for name, signature in found.items() if not name.startswith("__")}

    def status(self) -> list[dict]:
        """The versions: [{"version", "state", "status": {"error_code", "error_message"}}], newest first."""
        return self.transport.status(self.spec, self.timeout)


def is_text(value) -> bool:
    """Whether a string can be sent: a command's argument that is no UTF-8 cannot."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def main(arguments=None) -> None:
    """Reads the command line and asks."""
    parser = command_line.parser("serving.client", __doc__)
    parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="texts")
    add_connection(parser)
    parser.add_argument("--input", type=str, help="file with one text a line")
    parser.add_argument("--output", type=str, help="file to write to; standard output if absent")
    parser.add_argument("--batch_size", type=int, default=32, help="texts in a request")
    parser.add_argument("--status", action="store_true", help="tell the versions of the model and end")
    parser.add_argument("--metadata", action="store_true", help="tell the signatures of the model and end")
    options = parser.parse_args(arguments)
    if not 1 <= options.batch_size < 2**31:
        raise ValueError(
            f"`batch_size` must be positive, and below 2**31. Received: batch_size={options.batch_size}."
        )
    with explain_errors(options), connect(options) as client:
        if options.status:
            found = client.status()
            with understood():
                shown = [client_lines.of_version(version) for version in found]
            print("\n".join(shown))
        if options.metadata:
            found = client.metadata()
            with understood():
                shown = [client_lines.of_signature(name, found[name]) for name in sorted(found)]
            print("\n".join(shown))
        if not options.status and not options.metadata:
            translate(client, options)


def add_connection(parser) -> None:
    """Adds whom to ask, and how."""
    parser.add_argument("--target", type=str, required=True, help="HOST:PORT")
    parser.add_argument("--model", type=str, required=True, help="name of the model")
    parser.add_argument("--rest", action="store_true", help="speak REST, not gRPC")
    parser.add_argument("--signature", type=str, help="serving_default if absent")
    parser.add_argument("--version", type=str, help="number of the version; the newest if absent")
    parser.add_argument("--label", type=str, help="label of the version")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for an answer")
    parser.add_argument(
        "--retries", type=int, default=4, help="further attempts while the server is unavailable, 0 to 4"
    )
    add_tls(parser)


def add_tls(parser) -> None:
    """Adds whether and how the connection is encrypted."""
    parser.add_argument("--tls", action="store_true", help="encrypt; so does each of the next three")
    parser.add_argument("--ca", type=str, help="PEM file of the authorities to trust; the system's if absent")
    parser.add_argument("--certificate", type=str, help="PEM file, the client's own")
    parser.add_argument("--key", type=str, help="PEM file of its key")


def connect(options) -> Client:
    """The client that the options of `add_connection` ask for."""
    names = ("target", "model", "rest", "signature", "label", "timeout", "retries")
    given = {name: options[name] for name in names}
    return Client(**given, version=versions.given(options.version), tls=tls(options))


def tls(options) -> Tls | None:
    """The certificates that the options of `add_tls` name; None for a connection in the clear."""
    files = (options.ca, options.certificate, options.key)
    return Tls(*files) if options.tls or any(files) else None


@contextlib.contextmanager
def explain_errors(options) -> Iterator[None]:
    """Says which server gave an error, or no answer."""
    try:
        yield
    except ServingError as error:
        said = "answered" if error.answered else "did not answer:"
        raise OSError(f"{options.target} {said} {error}") from error


def translate(client, options) -> None:
    """Answers each line, in order."""
    with contextlib.ExitStack() as files:
        source = files.enter_context(lines.reader(options.texts, options.input))
        total, size = None, options.batch_size
        if options.input and Path(options.input).is_file():
            with open(options.input, "rb") as file:
                total = sum(1 for _ in file)
        elif not options.texts and sys.stdin.isatty():
            size = 1  # A person at a terminal waits for each answer.
        write = files.enter_context(lines.writer(options.output, inputs=[options.input]))
        progress = files.enter_context(lines.progress_bar(total, options.output))
        for chunk in lines.chunks(source, size):
            write([client_lines.of_row(row) for row in client.rows(chunk)])
            if progress:
                progress(len(chunk))


if __name__ == "__main__":
    command_line.run(main)
