"""What was seen of one run or two as one HTML page that needs nothing else."""

import base64
import hashlib
import html
import json
import re
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from training.atomic import write_text

FOLDER = Path(__file__).parent / "page"
# In the order in which each needs only those before it.
MODULES = (
    "weights",
    "drawing",
    "grid",
    "lines",
    "heat",
    "words",
    "picture",
    "beams",
    "panel",
    "main",
)
# So many weights are kept in 16 bits, more in 8.
MOST_IN_16_BITS = 2**18
# More make a page that no browser likes.
MOST_WEIGHTS = 2**23
HEIGHT = 860  # of a frame in a notebook, in pixels


@dataclass(frozen=True)
class Page:
    """A page; in a notebook it shows itself, in a frame that can do nothing but draw.

    Args:
        seen: list of `looking.Seen`, one, or two to be compared.
    """

    seen: list

    @cached_property
    def html(self) -> str:
        """The whole page."""
        return page(self.seen)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """Of the first run: {"encoder": (layers, heads, S, S), ...}, not rounded."""
        return {view.name: view.weights for view in self.seen[0].views}

    def save(self, path) -> None:
        """Writes the page into a file."""
        write_text(path, self.html)

    def _repr_html_(self):
        source = html.escape(self.html, quote=True)
        style = f"width: 100%; height: {HEIGHT}px; border: 0"
        return f'<iframe srcdoc="{source}" sandbox="allow-scripts" style="{style}"></iframe>'

    def __repr__(self):
        names = " against ".join(one.name for one in self.seen)
        return f"Page({names}, {self.seen[0].given!r})"


def page(seen) -> str:
    """The whole page as a text; see `Page`."""
    size = sum(view.weights.size for one in seen for view in one.views)
    if size > MOST_WEIGHTS:
        raise ValueError(
            f"A page holds at most {MOST_WEIGHTS:,} weights: give a shorter text. Received: {size:,} weights."
        )
    bits = 16 if size <= MOST_IN_16_BITS else 8
    data = {"bits": bits, "runs": [_as_json(one, bits) for one in seen]}
    # "<" alone could end the element; with no "<" nothing of a text is markup.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    code = script()
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    parts = {
        "policy": policy,
        "title": html.escape(f"Attention: {seen[0].given[:60]}"),
        "style": (FOLDER / "style.css").read_text(encoding="utf-8"),
        "data": text,
        "script": code,
    }
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    # In one pass: what is put in is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def script() -> str:
    """The modules of page/ as one, without what binds them: each name is in only one of them."""
    texts = [(FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in MODULES]
    texts = [re.sub(r"^import .*\n", "", text, flags=re.MULTILINE) for text in texts]
    return "\n" + "\n".join(re.sub(r"^export ", "", text, flags=re.MULTILINE) for text in texts)


def _as_json(one, bits):
    return {
        "name": one.name,
        "model": one.model,
        "given": one.given,
        "answer": one.answer,
        "image": None if one.image is None else base64.b64encode(one.image).decode(),
        "views": [
            {
                "name": view.name,
                "rows": view.rows,
                "columns": view.columns,
                "rowGrid": view.row_grid,
                "columnGrid": view.column_grid,
                "shape": view.weights.shape,
                "weights": encoded(view.weights, bits),
            }
            for view in one.views
        ],
        "beams": one.beams
        and [
            {
                "piece": one.pieces[node.token],
                "parent": node.parent,
                "step": node.step,
                "logProb": node.log_prob,
                "score": node.score,
                "fate": node.fate,
                "rank": node.rank,
            }
            for node in one.beams
        ],
    }


def encoded(weights: np.ndarray, bits: int) -> str:
    """Weights as whole numbers of their square roots: small ones, of which there are most, are kept best."""
    levels = 2**bits - 1
    numbers = np.round(levels * np.sqrt(np.clip(weights, 0, 1))).astype(f"<u{bits // 8}")
    return base64.b64encode(zlib.compress(numbers.tobytes())).decode()


def decoded(text: str, bits: int, shape) -> np.ndarray:
    """What the page reads of `encoded`."""
    numbers = np.frombuffer(zlib.decompress(base64.b64decode(text)), f"<u{bits // 8}").reshape(shape)
    return (numbers / (2**bits - 1)) ** 2
