"""The HTTP API of LibreTranslate: answers, errors, and what is never said."""

import json

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.web import app, keys  # noqa: E402

GERMAN = {"source": "en", "target": "de"}


def ask(web, q, **fields):
    answer = web.post("/translate", {"q": q, **GERMAN, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_text_is_translated_sentence_by_sentence_and_paragraphs_stay(web):
    assert ask(web, "One. Two!\n\n  Three\n") == {"translatedText": "Eins. Zwei!\n\n  Drei\n"}


def test_json_and_forms_are_answered_alike(web):
    form = web.post("/translate", data={"q": "One.", **GERMAN})
    assert form.json() == ask(web, "One.") == {"translatedText": "Eins."}
    form = web.post("/translate", data={"q": ["One.", "Two!"], **GERMAN})
    assert form.json() == {"translatedText": ["Eins.", "Zwei!"]}


def test_a_list_is_answered_with_a_list_in_its_order(web):
    assert ask(web, ["Two!", "", "One.", "Two!"]) == {"translatedText": ["Zwei!", "", "Eins.", "Zwei!"]}


def test_alternatives_are_the_others_of_each_sentence_put_together(web):
    found = ask(web, "One. Two!", alternatives=5)
    assert found == {"translatedText": "Eins. Zwei!", "alternatives": ["Eine. Zwo!", "Ein. Zwo!"]}
    found = ask(web, ["One.", "Three", ""], alternatives=1)
    assert found == {"translatedText": ["Eins.", "Drei", ""], "alternatives": [["Eine."], [], []]}


def test_alternatives_of_a_model_without_them_are_refused_in_a_sentence(web):
    web.fake.without = {"translate_nbest"}
    answer = web.post("/translate", {"q": "One.", **GERMAN, "alternatives": 2})
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "The model german was exported without `translate_nbest`, which this needs."
    }
    assert ask(web, "One.") == {"translatedText": "Eins."}


def test_tags_of_html_stay_and_texts_between_them_are_translated(web):
    markup = '<p class="a">One.<br>Two! <b>Three</b></p><!-- One. --><script>let a = "One." < 2</script>&lt;'
    expected = '<p class="a">Eins.<br>Zwei! <b>Drei</b></p><!-- One. --><script>let a = "One." < 2</script>'
    answer = ask(web, markup, format="html", alternatives=2)
    assert answer == {"translatedText": f"{expected}&lt;&lt;&gt;", "alternatives": []}


def test_languages_are_those_of_the_models_with_their_names(web):
    assert web.get("/languages").json() == [
        {"code": "en", "name": "English", "targets": ["de", "ko"]},
        {"code": "plain", "name": "plain", "targets": ["plain"]},
    ]


def test_a_model_without_languages_is_asked_by_its_name(web):
    answer = web.post("/translate", {"q": "abc", "source": "plain", "target": "plain"})
    assert answer.json() == {"translatedText": "cba"}


@pytest.mark.slow  # the model of languages takes seconds to load
def test_the_language_is_found_out_where_it_may_be_any(make_web):
    web = make_web("german=en:de", "korean=fr:de")
    found = ask(
        web, ["One of these days we shall all be there.", "Le petit chat dort sur le toit."], source="auto"
    )
    assert [item["language"] for item in found["detectedLanguage"]] == ["en", "fr"]
    assert found["translatedText"][1] == "LE PETIT CHAT DORT SUR LE TOIT."
    ranked = web.post("/detect", data={"q": "Le petit chat dort sur le toit."}).json()
    assert [item["language"] for item in ranked] == ["fr", "en"] and ranked[0]["confidence"] > 90


def test_one_language_needs_no_finding_out(web):
    found = ask(web, "One.", source="auto")
    assert found == {"translatedText": "Eins.", "detectedLanguage": {"language": "en", "confidence": 100.0}}
    assert web.post("/detect", {"q": ["a"]}).json() == [[{"language": "en", "confidence": 100.0}]]


def test_settings_tell_the_limit_and_whether_a_key_is_needed(make_web):
    found = make_web().get("/frontend/settings").json()
    assert (found["charLimit"], found["keyRequired"], found["apiKeys"]) == (1000, False, False)
    locked = keys.Allowance(None, {"a-long-secret": keys.Limits()})
    found = make_web(allowance=locked).get("/frontend/settings").json()
    assert (found["charLimit"], found["keyRequired"], found["apiKeys"]) == (-1, True, True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": None}, "`q` is missing."),
        ({"q": ""}, "`q` is missing."),
        ({"q": []}, "`q` is missing."),
        ({"q": 5}, "`q` must be a text."),
        ({"q": ["One.", 5]}, "`q` must be a text."),
        ({"q": "\ud800"}, "`q` must be a text."),
        ({"q": ["a"] * 1001}, "`q` may have 1,000 texts at most. Received: 1,001."),
        ({"q": "a" * 1001}, "A text may have 1,000 characters at most. Received: 1,001."),
        ({"source": None}, "`source` is missing."),
        ({"target": ""}, "`target` is missing."),
        ({"source": "xx"}, "No model translates from 'xx'; there are en, plain."),
        ({"target": "fr"}, "No model translates from 'en' to 'fr'; there are de, ko."),
        ({"source": "auto", "target": "fr"}, "No model to 'fr' says what language it translates from."),
        ({"format": "pdf"}, "`format` must be text or html. Received: 'pdf'."),
        ({"alternatives": -1}, "`alternatives` must be from 0 to 100."),
        ({"alternatives": True}, "`alternatives` must be from 0 to 100."),
        ({"alternatives": {}}, "`alternatives` must be from 0 to 100."),
        ({"api_key": 5}, "`api_key` must be a text."),
    ],
)
def test_what_is_wrong_with_a_request_is_one_sentence(web, fields, message):
    body = json.dumps({"q": "One.", **GERMAN, **fields})
    answer = web.post("/translate", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, {"error": message})
    assert not web.fake.requests


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (b"{", "application/json", 400, "The request is no valid JSON."),
        (b"\xff", "application/json", 400, "The request is no valid JSON."),
        (b"[" * 50_000, "application/json", 400, "The request is no valid JSON."),
        (b"[]", "application/json; charset=utf-8", 400, "The request must be an object in JSON."),
        (b"a" * 100_000, "application/json", 413, "A request may have 77,536 bytes at most."),
        (
            b"<q/>",
            "text/xml",
            415,
            "A request must be application/json or application/x-www-form-urlencoded. ",
        ),
        (b"&q=a" * 2000, "application/x-www-form-urlencoded", 400, "The form has too many fields."),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(web, content, kind, status, message):
    answer = web.post("/translate", content=content, headers={"content-type": kind})
    assert answer.status_code == status and answer.json()["error"].startswith(message)


@pytest.mark.parametrize(
    ("problem", "status", "message"),
    [
        ((500, '{"error": "Traceback (most recent call last)"}'), 502, "The server of the model failed"),
        ((200, "<html>some other server"), 502, "What stands behind this page does not answer as TF Serving"),
        ((200, '{"other": 1}'), 502, "What stands behind this page does not answer as TF Serving does."),
        ((404, "<html>"), 503, "The server does not have this model just now."),
        ((503, '{"error": "busy"}'), 503, "The model's server cannot be reached just now."),
        ((429, '{"error": "queue"}'), 503, "There is too much to translate just now."),
        ((504, '{"error": "late"}'), 504, "The model took too long"),
    ],
)
def test_a_server_that_fails_is_told_without_its_own_words(web, caplog, problem, status, message):
    web.fake.problem = problem
    answer = web.post("/translate", {"q": "One.", **GERMAN})
    assert answer.status_code == status and answer.json()["error"].startswith(message)
    assert "Traceback" not in answer.text
    assert len(caplog.messages) == 1  # there they are
    web.fake.problem = None
    assert ask(web, "One.") == {"translatedText": "Eins."}


def test_a_text_that_the_model_refuses_is_told_without_its_own_words(web):
    answer = web.post("/translate", {"q": "refuse me", **GERMAN})
    assert (answer.status_code, answer.json()) == (400, {"error": "The model does not take this text."})


def test_an_answer_that_takes_too_long_is_given_up(make_web):
    web = make_web(timeout=0.05)
    web.fake.seconds = 5
    assert web.post("/translate", {"q": "One.", **GERMAN}).status_code == 504
    assert web.fake.given_up == 1


def test_a_fault_of_the_page_is_told_without_a_trace(web, monkeypatch):
    monkeypatch.setattr("serving.web.languages.pair", lambda *_: 1 / 0)
    answer = web.post("/translate", {"q": "One.", **GERMAN})
    assert (answer.status_code, answer.json()) == (500, {"error": "This page has failed; its log says why."})


def test_a_path_and_a_method_that_there_is_not(web):
    assert (web.get("/nothing").status_code, web.get("/nothing").json()) == (404, {"error": "Not Found."})
    assert (web.get("/translate").status_code, web.get("/translate").json()) == (
        405,
        {"error": "Method Not Allowed."},
    )
    assert web.get("/static/../app.py").status_code == 404


def test_the_description_of_the_api_has_its_paths_and_no_others(web):
    described = web.get("/openapi.json").json()
    routes = {route.path: route.methods for route in web.app.routes if getattr(route, "methods", None)}
    public = {"/translate", "/detect", "/languages", "/health", "/frontend/settings"}
    assert described["paths"].keys() == public <= routes.keys()
    for path, verbs in described["paths"].items():
        assert {verb.upper() for verb in verbs} <= routes[path]
    asked = described["paths"]["/translate"]["post"]["requestBody"]["content"]["application/json"]
    assert web.get("/health").json() == {"status": "ok"}
    assert asked["schema"]["required"] == ["q", "source", "target"]
    assert ask(web, **asked["example"]) == {"translatedText": "<Hello!>"}


def test_pages_of_other_hosts_may_ask_and_nothing_of_other_hosts_is_shown(web):
    answer = web.get("/", headers={"origin": "http://elsewhere"})
    assert answer.headers["access-control-allow-origin"] == "*"
    for path in ("/", "/docs", "/languages", "/nothing", "/static/app.js"):
        policy = web.get(path).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';") and "unsafe" not in policy
    files = list(app.FILES.iterdir())
    assert sum(path.stat().st_size for path in files) < 150_000
    for path in files:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text and "innerHTML" not in text and 'style="' not in text, path
