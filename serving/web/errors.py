"""What a browser or a client of the API is told when there is no answer."""

import http
import logging

from serving.client_errors import ServingError

LOG = logging.getLogger("serving.web")


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        message: one sentence, fit for anybody.
        wait: seconds after which it may be tried again, if that is known.
    """

    def __init__(self, status, message, wait=None):
        super().__init__(message)
        self.status, self.message = int(status), message
        self.headers = {} if wait is None else {"Retry-After": str(max(1, round(wait)))}


def explained(error: ServingError) -> Refused:
    """What to say of TF Serving's error, whose own words go to the log only: they may quote code."""
    LOG.warning("%s", " ".join(str(error).split())[:500])
    status, message = SENTENCES.get(error.code, OTHERWISE)
    if error.code == "INTERNAL" and any(word in str(error) for word in NOT_TF_SERVING):
        message = "What stands behind this page does not answer as TF Serving does."
    return Refused(status, message)


NOT_TF_SERVING = ("no object in JSON", "not the form of TF Serving's")
SENTENCES = {
    "UNAVAILABLE": (
        http.HTTPStatus.SERVICE_UNAVAILABLE,
        "The model's server cannot be reached just now.",
    ),
    "DEADLINE_EXCEEDED": (
        http.HTTPStatus.GATEWAY_TIMEOUT,
        "The model took too long; a shorter text helps.",
    ),
    "RESOURCE_EXHAUSTED": (http.HTTPStatus.SERVICE_UNAVAILABLE, "There is too much to translate just now."),
    "NOT_FOUND": (http.HTTPStatus.SERVICE_UNAVAILABLE, "The server does not have this model just now."),
    "INVALID_ARGUMENT": (http.HTTPStatus.BAD_REQUEST, "The model does not take this text."),
}
OTHERWISE = (http.HTTPStatus.BAD_GATEWAY, "The server of the model failed to answer.")
