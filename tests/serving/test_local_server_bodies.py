"""Whatever a client sends is answered or refused: generated bodies, and texts that break programs."""

import json
import os

import pytest
import urllib3

from benchmarks import serving_bodies
from serving.client_errors import ServingError

COUNT = int(os.environ.get("KERAS_TRANSFORMER_TEST_BODIES", "150"))
NASTY = [
    "\0",
    "a\0b\0",
    "\u202eabc\u202c \u2066x",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "e" + "\u0301" * 500,
    "x" * 50_000,
    "\ufeff\u200b\u00ad",
    "\U0010ffff\ufffe\uffff",
    "%s %n {0} ${jndi:x} ' OR 1=1",
    "\r\n\t\x1b[2J",
    "",
    " " * 1000,
]


def test_every_generated_body_is_answered_or_refused(double):
    figures = serving_bodies.ask(double.rest, "odd", COUNT)
    assert figures["bodies"] >= COUNT
    assert figures["status 200"] > 0 and figures["status 400"] > 0


@pytest.mark.parametrize("rest", [False, True])
def test_nasty_texts_are_translated(double, rest):
    with double.client("dates", rest) as client:
        answers = client.predict({"text": NASTY})["translation"]
        assert len(answers) == len(NASTY)
        # Alone and together: the neighbours have no say.
        assert [client.predict({"text": [text]})["translation"][0] for text in NASTY] == answers


@pytest.mark.parametrize("rest", [False, True])
def test_bytes_that_are_no_utf_8_are_translated(double, rest):
    with double.client("dates", rest) as client:
        broken, replaced = client.predict({"text": [b"\xff\xfe 5", "\ufffd\ufffd 5"]})["translation"]
        assert broken == replaced


def test_half_a_surrogate_pair_in_json_is_refused_as_rapidjson_does(double):
    url = f"http://{double.rest}/v1/models/dates:predict"
    for text in ("\ud800", "a\udc00", "\ud800\ud800\udc00"):
        answer = urllib3.request("POST", url, body=json.dumps({"instances": [text]}))
        assert answer.status == 400
        assert "The surrogate pair in string is invalid. at offset: " in json.loads(answer.data)["error"]
    with double.client("dates", rest=True) as client:
        with pytest.raises(ServingError, match="INVALID_ARGUMENT"):
            client.predict({"text": ["\ud800"]})
