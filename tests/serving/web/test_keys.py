"""Who may ask, and how much: the file, keys, limits by the minute."""

import json
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.web import keys  # noqa: E402
from serving.web.errors import Refused  # noqa: E402
from serving.web.keys import Allowance, Limits  # noqa: E402


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def refusal(allowance, *request):
    with pytest.raises(Refused) as error:
        allowance.admit(*request)
    return error.value.status, error.value.message, error.value.headers


def test_a_client_has_so_many_requests_a_minute_and_gets_them_back():
    clock = Clock()
    allowance = Allowance(Limits(requests_per_minute=2), {}, clock)
    allowance.admit(None, "here", 1)
    allowance.admit(None, "here", 1)
    status, message, headers = refusal(allowance, None, "here", 1)
    assert (status, message) == (429, "At most 2 requests a minute; try again in 30 s.")
    assert headers == {"Retry-After": "30"}
    allowance.admit(None, "there", 1)
    clock.now = 31
    allowance.admit(None, "here", 1)
    assert refusal(allowance, None, "here", 1)[0] == 429


def test_characters_are_counted_and_what_is_refused_is_not():
    clock = Clock()
    allowance = Allowance(Limits(requests_per_minute=3, characters_per_minute=100), {}, clock)
    allowance.admit(None, "here", 80)
    assert "At most 100 characters a minute" in refusal(allowance, None, "here", 40)[1]
    allowance.admit(None, "here", 20)
    allowance.admit(None, "here", 0)
    assert "At most 3 requests" in refusal(allowance, None, "here", 0)[1]


def test_a_key_has_limits_of_its_own():
    allowance = Allowance(Limits(characters=5), {"a-long-secret": Limits(characters=50)})
    assert refusal(allowance, None, "here", 6)[0] == 400
    allowance.admit("a-long-secret", "here", 50)
    assert refusal(allowance, "a-long-secret", "here", 51)[:2] == (
        400,
        "A text may have 50 characters at most. Received: 51.",
    )
    assert refusal(allowance, "a-wrong-secret", "here", 1)[:2] == (403, "This API key is not known here.")
    assert allowance.largest == 50
    assert Allowance(None, {"a-long-secret": Limits()}).largest is None


def test_use_of_very_many_clients_is_forgotten(monkeypatch):
    monkeypatch.setattr(keys, "MOST_CLIENTS", 10)
    clock = Clock()
    allowance = Allowance(Limits(requests_per_minute=1), {}, clock)
    for number in range(50):
        clock.now += 1
        allowance.admit(None, f"client {number}", 1)
    assert len(allowance.used) <= 10
    assert refusal(allowance, None, "client 49", 1)[0] == 429


def test_a_file_is_read(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(
        json.dumps(
            {
                "anonymous": {"characters": 10, "requests_per_minute": 3},
                "keys": {"a-long-secret": {"name": "editor", "characters_per_minute": 7}, "another-one": {}},
            }
        )
    )
    allowance = keys.read(path)
    assert allowance.anonymous == Limits(10, 3)
    assert sorted(map(str, allowance.keys.values())) == sorted(map(str, [Limits(None, None, 7), Limits()]))
    assert "a-long-secret" not in str(vars(allowance))


def test_the_example_of_the_documentation_is_such_a_file(tmp_path):
    page = (Path(__file__).resolve().parents[3] / "docs" / "web.md").read_text(encoding="utf-8")
    path = tmp_path / "keys.json"
    path.write_text(page.partition("```json\n")[2].partition("```")[0])
    assert keys.read(path).anonymous == Limits(2000, 60)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "`keys` must be a JSON file"),
        ("[" * 50_000, "`keys` must be a JSON file"),
        ("[]", "the file must be an object in JSON"),
        ("{}", "`keys` must name a key, or limits for anonymous"),
        ('{"key": {}}', "the file may have anonymous, keys. Received: key"),
        ('{"keys": []}', r"keys must be an object in JSON. Received: \[\]"),
        ('{"keys": {"short": {}}}', "A key must have 8 characters or more. Received: one of 5."),
        ('{"anonymous": 3}', "anonymous must be an object in JSON. Received: 3"),
        ('{"anonymous": {"characters": 0}}', "`characters` of anonymous in .* must be a positive integer"),
        ('{"anonymous": {"characters": true}}', "must be a positive integer. Received: True."),
        ('{"keys": {"secret-key": {"chars": 1}}}', "key 1 may have .*characters.*. Received: chars."),
    ],
)
def test_a_file_that_is_wrong_is_told_without_its_keys(tmp_path, text, message):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        keys.read(path)
    assert "secret-key" not in str(error.value)
