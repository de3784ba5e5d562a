"""What the page asks for: translations as they come, details of a sentence, clients that go away."""

import asyncio
import json

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.web.keys import Allowance, Limits  # noqa: E402


def lines(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_sentences_come_first_and_then_each_translation(web):
    head, *rest = lines(web.post("/frontend/translate", {"model": "german", "text": " Four\n\nOne. "}))
    assert head == {"before": " ", "sentences": [["Four", "\n\n"], ["One.", " "]]}
    assert sorted(rest, key=lambda line: line["place"]) == [
        {"place": 0, "translation": "<Four>", "gap": "\n\n"},
        {"place": 1, "translation": "Eins.", "gap": " "},
    ]


def test_a_text_of_white_space_has_no_sentences(web):
    assert lines(web.post("/frontend/translate", {"model": "german", "text": " \n"})) == [
        {"before": " \n", "sentences": []}
    ]
    assert not web.fake.requests


def test_models_are_listed_with_what_they_offer(web):
    web.fake.without = {"align"}
    del web.fake.models["korean"]
    german, korean, plain = web.get("/frontend/models").json()
    assert german == {
        "name": "german",
        "source": "en",
        "target": "de",
        "names": ["English", "German"],
        "problem": None,
        "alternatives": True,
        "links": False,
    }
    assert korean["problem"] == "The server does not have this model just now."
    assert plain["names"] == ["plain", "plain"]


def test_a_server_that_hangs_does_not_keep_the_page_from_being_shown(web, monkeypatch):
    async def hang(*_):
        await asyncio.sleep(60)

    monkeypatch.setattr("serving.web.models.SOON", 0.05)
    monkeypatch.setattr(web.models.upstream, "metadata", hang)
    problems = {model["problem"] for model in web.get("/frontend/models").json()}
    assert problems == {"The model's server has not answered yet."}


def test_details_are_alternatives_with_scores_and_linked_words(web):
    found = web.post("/frontend/details", {"model": "german", "text": "One."}).json()
    assert found["alternatives"] == [
        {"text": "Eins.", "score": -0.5},
        {"text": "Eine.", "score": -1.0},
        {"text": "Ein.", "score": -1.5},
    ]
    assert found["links"] == {"source": [["One.", 0]], "target": [["Eins.", 0]], "weights": [[0.8]]}


def test_a_model_without_align_says_so_and_still_gives_alternatives(web):
    web.fake.without = {"align"}
    found = web.post("/frontend/details", {"model": "german", "text": "Three"}).json()
    assert found["alternatives"] == [{"text": "Drei", "score": -0.5}]
    assert found["links"]["problem"] == "The model german was exported without `align`, which this needs."


def test_a_model_that_answers_with_anything_but_a_text_is_refused(web):
    web.fake.without = {"serving_default"}
    answer = web.post("/frontend/translate", {"model": "german", "text": "One."})
    assert (answer.status_code, answer.json()) == (
        502,
        {"error": "This model does not answer a text with a text."},
    )
    assert web.get("/frontend/models").json()[0]["problem"] == answer.json()["error"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "other", "text": "a"}, "There is no model 'other'; there are german, korean, plain."),
        ({"text": "a"}, "`model` is missing."),
        ({"model": "german"}, "`text` is missing."),
        (
            {"model": "german", "text": "a" * 1001},
            "A text may have 1,000 characters at most. Received: 1,001.",
        ),
    ],
)
def test_a_wrong_request_is_one_sentence(web, fields, message):
    for path in ("/frontend/translate", "/frontend/details"):
        answer = web.post(path, fields)
        assert (answer.status_code, answer.json()) == (400, {"error": message})


def test_a_server_that_is_gone_is_told_before_and_in_the_middle(make_web):
    web = make_web(max_rows=1)
    web.fake.problem = (503, "{}")
    assert web.post("/frontend/translate", {"model": "german", "text": "One."}).status_code == 503
    web.fake.problem = None
    web.post("/frontend/translate", {"model": "german", "text": "One."})  # is kept
    web.fake.problem = (503, "{}")
    head, one, end = lines(web.post("/frontend/translate", {"model": "german", "text": "One. Two!"}))
    assert (len(head["sentences"]), one["translation"]) == (2, "Eins.")
    assert end == {"error": "The model's server cannot be reached just now."}


@pytest.mark.parametrize("path", ["/frontend/translate", "/frontend/details", "/translate"])
def test_what_is_asked_of_the_server_is_given_up_when_the_browser_goes_away(web, path):
    web.fake.seconds = 5
    web.get("/frontend/models")  # so that the server is asked for translations at once
    fields = {"model": "german", "text": "One.", "q": "One.", "source": "en", "target": "de"}
    body = json.dumps(fields).encode()
    sent = []

    async def run():
        messages = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])

        async def receive():
            message = next(messages)
            if message["type"] == "http.disconnect":
                while not web.fake.requests:
                    await asyncio.sleep(0.005)
            return message

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "http_version": "1.1"}
        scope["headers"] = [(b"content-type", b"application/json"), (b"host", b"web")]
        await web.app(scope, receive, send)

    web.runner.run(asyncio.wait_for(run(), 2))
    asked = len(web.fake.requests)
    assert web.fake.given_up == asked >= 1
    assert sent[0]["status"] == 499


def test_keys_count_for_the_page_too(make_web):
    web = make_web(allowance=Allowance(None, {"a-long-secret": Limits(characters=5)}))
    fields = {"model": "german", "text": "One."}
    assert web.post("/frontend/translate", fields).json() == {"error": "An API key is needed here."}
    assert web.post("/frontend/translate", fields | {"api_key": "a-long-secret"}).status_code == 200
    assert web.post("/frontend/details", fields | {"api_key": "another-one"}).status_code == 403
    assert web.get("/").status_code == web.get("/frontend/models").status_code == 200
