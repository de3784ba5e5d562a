"""The page's own words: each is there in all languages, with its numbers."""

import html.parser
import json
import re
from pathlib import Path

import pytest

errors = pytest.importorskip("serving.web.errors")
STATIC = Path(errors.__file__).with_name("static")
SCRIPT = (STATIC / "words.js").read_text(encoding="utf-8")


def read():
    """The languages, and {text: its translations}."""
    languages = json.loads(re.search(r"LANGUAGES = (\[.*?\])", SCRIPT)[1])
    table = SCRIPT.partition("const TEXTS = ")[2].partition(";\n")[0]
    return languages, json.loads(re.sub(r",(\s*[\]}])", r"\1", table))


class Shown(html.parser.HTMLParser):
    """What a page shows and says, but its keys."""

    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        for name, value in attributes:
            if name in ("aria-label", "title", "placeholder"):
                self.found.append(value)

    def handle_endtag(self, tag):
        while self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if data.strip() and self.open[-1:] != ["kbd"]:
            self.found.append(" ".join(data.split()))


def test_every_text_is_there_in_all_languages_with_its_numbers():
    languages, texts = read()
    assert {"ko", "ja", "ar", "hi", "th"} <= set(languages)
    for text, translations in texts.items():
        assert len(translations) == len(languages), text
        for translation in translations:
            assert sorted(re.findall(r"\{\d\}", text)) == sorted(re.findall(r"\{\d\}", translation)), (
                translation
            )


def test_whatever_the_page_and_its_server_say_is_in_the_table():
    shown = Shown()
    shown.feed((STATIC / "index.html").read_text(encoding="utf-8"))
    said = set(shown.found) | {message for _, message in [*errors.SENTENCES.values(), errors.OTHERWISE]}
    for path in STATIC.glob("*.js"):
        for quoted in re.findall(
            r'(?:say|settle|Refused)\((?:total > 1 \? )?["`]([^"`]+)["`]', path.read_text()
        ):
            said.add(quoted.replace("\\u2026", "…"))
    for quoted in re.findall(r'Refused\(\s*\d+,\s*f?"([^"]+)"', (STATIC.parent / "keys.py").read_text()):
        said |= {
            re.sub(r"\{.*?\}", "0", quoted.replace("{what}", what)) for what in ("requests", "characters")
        }
    numbers = [re.sub(r"\$\{.*?\}", "0", text) for text in said if "?" not in text]
    missing = {re.sub(r"\d+", "#", text) for text in numbers} - {
        re.sub(r"\{\d\}", "#", key) for key in read()[1]
    }
    assert missing == set()
