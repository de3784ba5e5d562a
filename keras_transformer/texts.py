"""Lists of texts, as users give them: checked, before a single string is taken for its characters."""

from collections.abc import Iterable, Mapping
from typing import Any

from keras_transformer.types import Tensor


def as_list(texts: Iterable[str | bytes], name: str = "texts") -> list[Any]:
    """The texts as a list of str and bytes.

    Args:
        texts: any iterable of str or UTF-8 bytes: a list, a generator, a column of a table, an array or a
            tensor of strings.
        name: what the argument is called.

    Raises:
        ValueError: it is a single string, or anything else that is no iterable of strings.
    """
    rule = f"`{name}` must be a list of strings."
    if isinstance(texts, str | bytes):
        raise ValueError(f"{rule} Received: one string, {shown(texts)}; put it into a list.")
    if hasattr(texts, "numpy") and not isinstance(texts, type):
        texts = texts.numpy()  # an eager tensor
    if isinstance(texts, str | bytes):
        raise ValueError(f"{rule} Received: one string, {shown(texts)}; put it into a list.")
    if isinstance(texts, Mapping) or not isinstance(texts, Iterable) or getattr(texts, "ndim", 1) != 1:
        raise ValueError(f"{rule} Received: {type(texts).__name__}, {shown(texts)}.")
    texts = list(texts)
    for number, text in enumerate(texts):
        if not isinstance(text, str | bytes):
            raise ValueError(f"{rule} Received: {type(text).__name__} as number {number}, {shown(text)}.")
        if isinstance(text, str):
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(
                    f"{rule} Received: half of a surrogate pair in number {number}, {shown(text)}."
                ) from None
    return texts


def shown(value: Tensor) -> str:
    """The beginning of a value, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
