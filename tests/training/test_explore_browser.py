"""The explorer's page in a browser without a screen: it draws, answers keys, and holds a long text."""

import re
import shutil

import numpy as np
import pytest

from training.explorer import page
from training.explorer.beams import Node
from training.explorer.looking import Seen, View

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]


def seen(length=5, layers=2, heads=3, name="run"):
    rng = np.random.default_rng(1)
    scores = np.exp(rng.normal(0, 2, (layers, heads, length, length)))
    weights = (scores / scores.sum(-1, keepdims=True)).astype("float32")
    pieces = [f"<b>{number}" for number in range(length)]
    views = [View(kind, pieces, pieces, weights) for kind in ("encoder", "decoder", "cross")]
    nodes = [Node(4, None, 0, -0.1, -0.1, "on"), Node(3, 0, 1, -0.2, -0.3, "ended", 0)]
    nodes += [Node(5, None, 0, -2.0, -2.0, "dropped")]
    return Seen(name, "Transformer", " ".join(pieces), "answer", views, nodes, {3: "</s>", 4: "a", 5: "<i>"})


@pytest.fixture
def browser():
    """A browser that can be driven."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def visit(browser, tmp_path):
    """`visit(seen, width)`: a page in a window of this width; what it complains of fails the test.

    A third argument is what the address ends with.
    """
    errors = []

    def visit(seen, width, place=""):
        (tmp_path / "page.html").write_text(page.page(seen), encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
        tab.goto(f"file://{tmp_path / 'page.html'}{place}")
        tab.wait_for_selector("html[data-drawn]")
        return tab

    yield visit
    assert not errors


def test_the_page_draws_under_its_own_policy(visit):
    found = visit([seen()], 1200, "#view=encoder&mode=heat&layer=0&head=mean").content()
    assert 'data-drawn="encoder"' in found
    assert re.search(r'class="heat".*?<canvas [^>]*width="\d\d+"', found)
    assert "&lt;b&gt;0 &lt;b&gt;1" in found and "<b>" not in found


@pytest.mark.parametrize("width", [1200, 390])
def test_keys_and_the_pointer_are_answered_at_any_width(visit, width):
    one = seen()
    tab = visit([one, seen(name="other")], width)

    def status():
        tab.wait_for_timeout(200)
        return tab.text_content("#status")

    rows = tab.locator('[data-side="row"]')
    rows.nth(1).hover()
    strongest = int(np.argmax(one.views[2].weights[1].mean(axis=0)[1]))
    assert status().startswith(f"2. <b>1 attends to: <b>{strongest} 0.")
    tab.mouse.move(1, 1)
    rows.nth(0).focus()
    tab.keyboard.press("Enter")
    rows.nth(1).hover()
    assert status().startswith("1. <b>0 attends to:")  # it is kept
    tab.keyboard.press("Escape")
    tab.keyboard.press("h")
    tab.keyboard.press("ArrowUp")
    status()
    assert tab.locator(".heat canvas").count() == 2
    assert tab.input_value("#layer") == "0" and tab.input_value("#head") == "null"
    tab.locator(".heat canvas").first.click(position={"x": 60, "y": 60})
    assert "→" in status()
    tab.keyboard.press("w")
    status()
    assert tab.locator(".words").count() == 2
    tab.locator(".overview canvas").first.click(position={"x": 60, "y": 30})
    status()
    assert (tab.input_value("#layer"), tab.input_value("#head")) == ("0", "0")
    tab.keyboard.press("4")
    status()
    tab.locator('.tree [tabindex="0"]').first.focus()
    assert "token 81.9 %, all 74.1 % (log -0.300) · ended, after 2 tokens · result 1" in status()
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_sentence_of_a_hundred_tokens_stays_fluid(visit):
    tab = visit([seen(length=100, layers=6, heads=8)], 1200)
    frames = """async () => {
        const nodes = document.querySelectorAll('[data-side="row"]');
        const times = [];
        for (let i = 0; i < 20; i++) {
            const start = performance.now();
            nodes[i].dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b)[10];
    }"""
    assert tab.evaluate(frames) < 250  # milliseconds, on a busy machine
    assert tab.text_content("#status").startswith("20. ")
