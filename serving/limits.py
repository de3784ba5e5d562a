"""Limits of a request to an exported model; `keras_transformer.pipelines.guards` builds them in.

Nothing here imports TensorFlow, so that `--help` answers at once.
"""

import dataclasses
from typing import Self


@dataclasses.dataclass(frozen=True)
class Limits:
    """How large a request may be; see docs/serving.md.

    Args:
        max_rows: texts or images of one request, or of one batch that the server makes.
        max_characters: Unicode characters of a text that are read; the rest is cut off. Tokens are limited
            by the model besides.
        max_target_tokens: tokens of a target that `score` takes, the end token included.
        max_image_bytes: bytes of an encoded image.
        max_image_pixels: width times height of an encoded image, as its header says.
    """

    max_rows: int = 128
    max_characters: int = 10_000
    max_target_tokens: int = 256
    max_image_bytes: int = 10_000_000
    max_image_pixels: int = 25_000_000

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            # int32 in the graph, and up to four bytes for a character.
            if not 1 <= value < 2**29:
                raise ValueError(f"`{name}` must be from 1 to {2**29 - 1}. Received: {name}={value}.")

    @classmethod
    def read(cls, options) -> Self:
        """From the parsed options of a command."""
        return cls(**{field.name: options[field.name] for field in dataclasses.fields(cls)})

    def of(self, *names: str) -> dict:
        """Those of these names."""
        return {name: getattr(self, name) for name in names}
