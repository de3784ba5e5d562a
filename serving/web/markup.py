"""Translation of the texts in HTML; tags, scripts and comments stay as they are."""

import html
from collections.abc import Callable
from html.parser import HTMLParser

VERBATIM = ("script", "style")


class Pieces(HTMLParser):
    """`pieces`: (whether it is text, what stands there), in order; texts are without entities."""

    def __init__(self, markup: str):
        super().__init__(convert_charrefs=True)
        self.pieces, self.inside = [], None
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self._as_it_is(self.get_starttag_text())
        self.inside = tag if tag in VERBATIM else None

    def handle_startendtag(self, tag, attrs) -> None:
        self._as_it_is(self.get_starttag_text())

    def handle_endtag(self, tag) -> None:
        self.inside = None
        self._as_it_is(f"</{tag}>")

    def handle_data(self, data) -> None:
        self.pieces.append((self.inside is None, data))

    def handle_comment(self, data) -> None:
        self._as_it_is(f"<!--{data}-->")

    def handle_decl(self, decl) -> None:
        self._as_it_is(f"<!{decl}>")

    def unknown_decl(self, data) -> None:
        self._as_it_is(f"<![{data}]]>" if data.startswith("CDATA[") else f"<![{data}]>")

    def handle_pi(self, data) -> None:
        self._as_it_is(f"<?{data}>")

    def _as_it_is(self, text):
        self.pieces.append((False, text))


def texts(markup: str) -> tuple[list[str], Callable[[list[str]], str]]:
    """The texts between tags, and what makes the markup again of as many translations."""
    pieces = Pieces(markup).pieces

    def rebuilt(translations):
        given = iter(translations)
        return "".join(html.escape(next(given), quote=False) if is_text else text for is_text, text in pieces)

    return [text for is_text, text in pieces if is_text], rebuilt
