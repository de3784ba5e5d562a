"""Texts in sentences, and together again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette", reason='pip install ".[web]"')

from serving.web import markup  # noqa: E402
from serving.web.sentences import Sentences  # noqa: E402


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("en", "Dr. Smith paid $3.50. Really?  Yes!", ["Dr. Smith paid $3.50.", "Really?", "Yes!"]),
        ("de", "Am 3. März kam er. Er ging.", ["Am 3. März kam er.", "Er ging."]),
        ("ja", "これはペンです。それは何ですか？", ["これはペンです。", "それは何ですか？"]),
        ("ar", "مرحبا. كيف حالك؟ أنا بخير.", ["مرحبا.", "كيف حالك؟", "أنا بخير."]),
        ("hi", "यह है। वह है।", ["यह है।", "वह है।"]),
        ("not-a-language", "One line\nand another", ["One line", "and another"]),
        ("en", " \n\t", []),
        ("en", "", []),
    ],
)
def test_sentences_are_found(language, text, sentences):
    assert Sentences.read(text, language).texts == sentences


def test_what_stands_between_sentences_stays():
    text = "\n  First.  Second.\r\n\r\n\tThird\n"
    read = Sentences.read(text)
    assert read.joined(read.texts) == text
    assert read.joined(["1", "2", "3"]) == "\n  1  2\r\n\r\n\t3\n"


def test_a_space_comes_between_sentences_where_the_target_writes_one():
    read = Sentences.read("これはペンです。はい。", "ja")
    assert read.joined(["This is a pen.", "Yes."]) == "This is a pen. Yes."
    assert read.joined(["这是一支笔。", "是。"]) == "这是一支笔。是。"


@settings(max_examples=30, deadline=None)
@given(st.text(st.sampled_from("aB.!? \n\r\t\u3000\u2028\x1c\u0085。🙂\u0301\u200d")))
def test_no_text_loses_a_character(text):
    read = Sentences.read(text)
    joined = read.joined(read.texts)
    assert "".join(joined.split()) == "".join(text.split())
    assert joined.count("\n") == text.count("\n")
    assert all(sentence and sentence == sentence.strip() for sentence in read.texts)


@pytest.mark.parametrize(
    "text",
    [
        "plain &amp; <b>bold</b>",
        "<!doctype html><html><body>a<br/>b<![CDATA[x]]><?php y ?></body></html>",
        "<style>a { b: c }</style><script>if (a < b) '</p>'</script>",
        "<p title='a > b'>c &lt; d",
    ],
)
def test_markup_without_changes_is_as_it_was(text):
    inside, rebuilt = markup.texts(text)
    assert rebuilt(inside) == text


def test_a_translation_makes_no_tags():
    inside, rebuilt = markup.texts("<p>a</p>")
    assert inside == ["a"] and rebuilt(["<script>"]) == "<p>&lt;script&gt;</p>"
