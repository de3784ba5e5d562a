"""Errors of `serving.client`: a server that cannot be asked, or refuses."""

import contextlib
from collections.abc import Iterator

# A server may say so as well as the library: gRPC does not tell which it was.
NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


class ServingError(OSError):
    """A request without the answer that was asked for.

    Args:
        code: name of the gRPC status code, also over REST: UNAVAILABLE, NOT_FOUND, ...
        message: what the server or the library said.

    Attributes:
        answered: whether the server refused the request; False if it could not work on it, or there is none.
    """

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.answered = code not in NO_ANSWER


@contextlib.contextmanager
def understood(*errors: type[Exception]) -> Iterator[None]:
    """For the reading of an answer: what has another form than TF Serving's is the server's error.

    Args:
        errors: exceptions that say so, besides those of Python.
    """
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError, *errors) as error:
        message = f"the answer has not the form of TF Serving's ({type(error).__name__}: {error})"
        raise ServingError("INTERNAL", f"{message:.300}") from error
