"""The page in a browser: what people do with it, and what goes wrong meanwhile."""

import asyncio
import contextlib
import shutil
import time

import pytest

pytest.importorskip("starlette", reason='pip install ".[web]"')
playwright = pytest.importorskip("playwright.sync_api", reason='pip install ".[dev]"')

from serving.web import app, keys  # noqa: E402
from serving.web.models import Models  # noqa: E402
from serving.web.upstream import Upstream  # noqa: E402
from tests.serving.web.conftest import german  # noqa: E402
from tests.serving.web.fake_tf_serving import FakeServing, running  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
SCRIPT = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
SIZES = {"phone": (360, 740), "desktop": (1280, 800)}


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def fake():
    back = {"القطة تنام على السطح.": ["The cat sleeps on the roof."]}
    return FakeServing(
        german=german,
        back=lambda text: [text.lower()],
        arabic=lambda text: back.get(text, [text]),
        wide=lambda text: [text],
    )


@contextlib.contextmanager
def serving(target, *models, allowance=None, port=0, timeout=30.0):
    """The page over a TF Serving; its address."""
    served = Models.read(models, Upstream(target, timeout), 32)
    application = app.create(served, allowance or keys.open_to_all(20_000))
    with running(application, port) as address:
        yield f"http://{address}/"


@pytest.fixture
def address(fake):
    with (
        running(fake.app) as target,
        serving(target, "german=en:de", "back=de:en", "arabic=ar:en", "wide") as address,
    ):
        yield address


@pytest.fixture
def open_page(browser):
    """`open_page(address, ...)`: a page that has no error of its own."""
    contexts, errors = [], []

    def open_page(
        address, size="desktop", ready="document.querySelector('#model').options.length > 0", **options
    ):
        width, height = SIZES[size]
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        contexts[-1].set_default_timeout(20_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Policy" in line.text else None)
        page.goto(address)
        until(page, ready)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not errors


def until(page, is_true, *arguments):
    """Waits; playwright's own way evaluates a string, which the page's policy forbids."""
    end = time.monotonic() + 20
    while not page.evaluate(is_true, *arguments):
        assert time.monotonic() < end, f"{is_true}: {page.inner_text('body')}"
        page.wait_for_timeout(20)


def answer(page, text):
    """Waits until the translation is a text."""
    until(page, "text => document.querySelector('#output').textContent === text", text)


def test_what_is_typed_is_translated_with_alternatives_and_linked_words(address, open_page):
    page = open_page(address)
    page.type("#source", "One. Two!")
    answer(page, "Eins. Zwei!")
    page.hover("#sentence-0")
    page.wait_for_selector("#sentence-0 .word")
    assert page.locator("#alternatives button").all_inner_texts()[1].split() == ["Eine.", "\u22121.00"]
    page.hover("#sentence-0 .word")
    assert page.locator("#mirror mark").all_text_contents() == ["One."]
    assert page.inner_text("#link").startswith("Eins. \u2190 One. (80")
    page.click("text=Eine.")
    answer(page, "Eine. Zwei!")
    assert page.get_attribute("#alternatives [aria-pressed=true]", "type") == "button"


def test_the_answer_to_the_last_of_many_keys_is_shown(fake, address, open_page):
    page = open_page(address)
    fake.seconds = 0.3
    text = "".join(chr(ord("a") + number % 26) for number in range(50))
    page.type("#source", text, delay=40)
    answer(page, f"<{text}>")
    time.sleep(1)
    assert page.inner_text("#output") == f"<{text}>"
    assert len(fake.requests) < 25
    # An answer that is late does not replace one that came after it.
    fake.seconds = 1.5
    page.fill("#source", "late")
    until(page, "document.querySelector('#status').textContent.startsWith('Transl')")
    time.sleep(0.6)
    fake.seconds = 0
    page.fill("#source", "last")
    answer(page, "<last>")
    time.sleep(1.5)
    assert page.inner_text("#output") == "<last>"
    assert fake.given_up > 0


def test_a_server_that_goes_and_comes_back_is_waited_for(fake, open_page):
    with running(fake.app) as target:
        port = int(target.rpartition(":")[2])
        stack = contextlib.ExitStack()
        address = stack.enter_context(serving(target, "german=en:de"))
        page = open_page(address)
        page.fill("#source", "One.")
        answer(page, "Eins.")
    with stack:
        page.fill("#source", "One. Two!")
        page.wait_for_selector("text=The model's server cannot be reached just now. Trying again")
        with running(fake.app, port):
            answer(page, "Eins. Zwei!")
            assert page.is_hidden("#banner")
    page.fill("#source", "Three")  # now the page's own server has gone
    page.wait_for_selector("text=This page's server cannot be reached just now. Trying again")
    with running(fake.app, port), serving(target, "german=en:de", port=int(address[:-1].rpartition(":")[2])):
        answer(page, "Drei")
        assert page.is_hidden("#banner")


def test_two_hundred_sentences_are_put_together_again(fake, address, open_page):
    page = open_page(address)
    paragraphs = ["  ".join(f"This is sentence {10 * n + m}." for m in range(10)) for n in range(20)]
    text = "\n\n".join(paragraphs)
    page.fill("#source", text)
    expected = text.replace("This", "<This").replace(".", ".>")
    answer(page, expected)
    assert page.inner_text("#status") == "200 sentences"
    assert len(fake.requests) == 7
    page.locator("#source").press("Control+End")
    page.type("#source", " New.")
    answer(page, f"{expected} <New.>")
    assert fake.requests[-1][1] == ["New."] or fake.requests[-1][0] != "serving_default"


def test_what_is_typed_before_the_models_are_known_is_translated(fake, open_page, address, monkeypatch):
    from serving.web.models import Model

    state = Model.state

    async def late(self):
        await asyncio.sleep(1)
        return await state(self)

    monkeypatch.setattr(Model, "state", late)
    page = open_page(address, ready="document.querySelector('#source').value === ''")
    page.type("#source", "One.")
    answer(page, "Eins.")
    assert page.is_hidden("#banner")


def test_markup_in_a_text_and_in_an_answer_is_text(address, open_page):
    page = open_page(address)
    page.select_option("#model", "wide")
    page.fill("#source", SCRIPT)
    answer(page, SCRIPT)
    page.wait_for_selector("#alternatives button")
    page.wait_for_selector(".word")
    page.hover(".word >> nth=0")
    assert page.title() == "Translate" and page.locator("main script, main img").count() == 0


@pytest.mark.parametrize("size", SIZES)
def test_nothing_scrolls_sideways(address, open_page, size):
    page = open_page(address, size)
    page.select_option("#model", "wide")
    for text in ("word " * 300, "w" * 400, "https://example/" + "x" * 300):
        page.fill("#source", text.strip())
        page.wait_for_selector("#alternatives button")
        widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]
    page.goto(f"{address}docs")
    page.wait_for_selector("text=POST /translate")
    widths = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(address, open_page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason='pip install ".[dev]"')
    page = open_page(address, color_scheme=scheme, bypass_csp=True)

    def check():
        found = axe.Axe().run(page).response["violations"]
        serious = [item for item in found if item["impact"] in ("serious", "critical")]
        assert not serious, [(item["id"], [node["html"] for node in item["nodes"]]) for item in serious]

    check()
    page.fill("#source", "One. Two!")
    answer(page, "Eins. Zwei!")
    page.hover("#sentence-0")
    page.wait_for_selector("#alternatives button")
    page.hover("#sentence-0 .word")
    check()
    page.fill("#source", "refuse me")
    page.wait_for_selector("text=The model does not take this text.")
    check()
    page.goto(f"{address}docs")
    page.wait_for_selector("text=POST /translate")
    check()


def test_the_keyboard_alone_is_enough(address, open_page):
    page = open_page(address, permissions=["clipboard-read", "clipboard-write"])
    assert page.evaluate("document.activeElement.id") == "source"
    page.keyboard.type("One. Two!")
    answer(page, "Eins. Zwei!")
    page.keyboard.press("Tab")  # clear
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "output"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#sentence-1 .word")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#link").startswith("Zwei! \u2190 Two!")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "copy"
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "Eins. Zwei!"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answer(page, "Eins. Zwo!")
    assert page.evaluate("document.activeElement.textContent").startswith("Zwo!")


def test_a_text_that_is_too_long_is_told_with_the_limit(fake, open_page):
    with running(fake.app) as target, serving(target, "german", allowance=keys.open_to_all(50)) as address:
        page = open_page(address)
        page.fill("#source", "a" * 51)
        page.wait_for_selector("text=A text may have 50 characters at most. Received: 51.")
        assert page.inner_text("#count") == "51 / 50"
        page.fill("#source", "One.")
        answer(page, "Eins.")
        assert page.is_hidden("#banner")


def test_a_slow_model_is_told(fake, address, open_page):
    page = open_page(address)
    fake.seconds = 3.5
    page.fill("#source", "One.")
    page.wait_for_selector("#progress", state="visible")
    page.wait_for_selector("text=Still translating")
    answer(page, "Eins.")
    assert page.is_hidden("#progress")


def test_a_key_is_asked_for_where_one_is_needed(fake, open_page):
    allowance = keys.Allowance(None, {"a-long-secret": keys.Limits()})
    with running(fake.app) as target, serving(target, "german", allowance=allowance) as address:
        page = open_page(address)
        page.fill("#source", "One.")
        page.wait_for_selector("text=An API key is needed here.")
        page.fill("#key", "a-wrong-secret")
        page.click("text=Use it")
        page.wait_for_selector("text=This API key is not known here.")
        page.fill("#key", "a-long-secret")
        page.click("text=Use it")
        answer(page, "Eins.")
        assert page.is_hidden("#key-form") and page.is_hidden("#banner")


def test_scripts_from_right_to_left_and_the_other_way_round(address, open_page):
    page = open_page(address)
    page.select_option("#model", "arabic")
    page.fill("#source", "القطة تنام على السطح.")
    answer(page, "The cat sleeps on the roof.")
    direction = "id => getComputedStyle(document.getElementById(id)).direction"
    assert page.evaluate(direction, "source") == "rtl" and page.evaluate(direction, "output") == "ltr"
    assert page.inner_text("#source-name") == "Arabic"


def test_languages_are_swapped_with_the_texts(address, open_page):
    page = open_page(address)
    page.fill("#source", "One.")
    answer(page, "Eins.")
    page.click("#swap")
    answer(page, "eins.")
    assert page.input_value("#source") == "Eins." and page.input_value("#model") == "back"
    page.reload()
    until(page, "document.querySelector('#model').value === 'back'")  # it is remembered


LOCALES = {
    "ko-KR": ("번역문", "번역됨", "독일어", "텍스트는 20,000자까지입니다. 입력: 20,001자."),
    "ja-JP": ("訳文", "翻訳しました", "ドイツ語", "テキストは 20,000 文字までです。入力：20,001 文字。"),
    "ar-EG": ("الترجمة", "تمت الترجمة", "الألمانية", None),
    "hi-IN": ("अनुवाद", "अनुवाद हो गया", "जर्मन", None),
    "th-TH": ("คำแปล", "แปลแล้ว", "เยอรมัน", None),
    "tr-TR": ("Translation", "Translated", "German", None),  # not spoken here
}


@pytest.mark.parametrize("locale", LOCALES)
def test_the_page_speaks_its_visitors_language(address, open_page, locale):
    title, done, german_, too_long = LOCALES[locale]
    page = open_page(address, "phone", locale=locale)
    language = locale[:2] if locale != "tr-TR" else "en"
    right = language == "ar"
    page.select_option("#model", "wide")
    assert page.inner_text("#target-name").lower() == title.lower()
    page.select_option("#model", "german")
    assert page.inner_text("#target-name").lower() == german_.lower()
    assert page.evaluate("document.documentElement.lang") == language
    assert page.evaluate("getComputedStyle(document.body).direction") == ("rtl" if right else "ltr")
    page.fill("#source", "A cat.")
    until(page, "text => document.querySelector('#status').textContent === text", done)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if language != "en":
        shown = page.inner_text("body") + page.get_attribute("#source", "placeholder")
        for word in ("Translat", "Type", "Point at", "sentence", "Clear", "Copy", "Model"):
            assert word not in shown, shown
    if too_long:
        page.fill("#source", "a" * 20_001)
        until(page, "text => document.querySelector('#banner').textContent === text", too_long)
