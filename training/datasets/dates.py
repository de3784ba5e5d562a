"""Dates written out in seventeen languages -> ISO 8601: `mardi 5 mars 2024` -> `2024-03-05`.

The embedded data set: generated in a second from the Unicode CLDR formats that Babel carries, without
a download. It shows that training, masking and decoding work, and gives a useful date reader; it says
nothing about translation quality.

One text means one date:
- Every text holds the year in four digits; formats that cut it to two are left out.
- A text whose month is a number is read year-month-day if the year comes first, day-month-year if it
  comes last. Month-first numeric dates, as the USA writes them (3/5/2024 for 5 March), are left out.
  American dates that name the month are in (March 5, 2024).
- Short names that several languages share (mar) mean the same month in all; a test compares all texts.
"""

from __future__ import annotations

import datetime
import hashlib
import random
import re
from functools import cache
from typing import TYPE_CHECKING

from babel import Locale
from babel.dates import format_date, get_date_format

if TYPE_CHECKING:
    import tensorflow as tf

FIRST_DAY = datetime.date(1900, 1, 1)
LAST_DAY = datetime.date(2099, 12, 31)
NUM_EXAMPLES = {"train": 40_000, "validation": 2_000, "test": 2_000}  # pairs, by default

# Locales of one language add formats (English: month, day or year first) or digits (Arabic: Egypt has
# ٢٠٢٤ and the Emirates 2024).
LOCALES = {
    "ar": ("ar_EG", "ar_AE"),
    "cs": ("cs",),
    "de": ("de",),
    "en": ("en_US", "en_GB", "en_CA"),
    "es": ("es", "es_MX"),
    "fr": ("fr",),
    "hi": ("hi",),
    "it": ("it",),
    "ja": ("ja",),
    "ko": ("ko",),
    "nl": ("nl",),
    "pl": ("pl",),
    "pt": ("pt",),
    "ru": ("ru",),
    "sv": ("sv",),
    "tr": ("tr",),
    "zh": ("zh_Hans", "zh_Hant"),
}
_LENGTHS = ("short", "medium", "long", "full")
# CLDR's names for numeric and abbreviated dates, without and with the weekday.
_SKELETONS = ("yMd", "yMEd", "yMMMd", "yMMMEd")
_ARABIC_DIGITS = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
# CLDR sets what keyboards lack: no-break spaces, and the mark that orders numeric dates in Arabic.
_KEYBOARD = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u200f": None})
_COMMAS = str.maketrans({",": None, "،": None})


def load(split: str, *, num_examples: int = NUM_EXAMPLES["train"], seed: int = 0) -> tf.data.Dataset:
    """Generates a split.

    Args:
        split: "train", "validation" or "test".
        num_examples: number of training pairs; the other splits have 2,000 each.
        seed: see `generate`.

    Returns:
        Dataset of (text, ISO date), scalar tf.string each.

    Raises:
        ValueError: see `generate`.
    """
    import tensorflow as tf  # here: `generate` is of use without it

    pairs = generate(split, num_examples if split == "train" else NUM_EXAMPLES.get(split, 0), seed)
    return tf.data.Dataset.from_tensor_slices(tuple(map(list, zip(*pairs, strict=True))))


def generate(split: str, num_examples: int, seed: int) -> list[tuple[str, str]]:
    """Draws dates of a split and writes each in a language, a format and a variation drawn at random.

    Days are split by hash, whatever the seed: no day of validation or test is ever in training. The days
    of a split come in random order, each once before any comes twice. Languages are equally frequent.

    Args:
        split: "train", "validation" or "test".
        num_examples: pairs, at least 1 and at most 10 for each day of the split (about 584,000 or 73,000).
        seed: the same seed gives the same pairs on every platform (with the same version of Babel).
    Returns:
        (text, "YYYY-MM-DD") pairs; no text occurs twice.
    Raises:
        ValueError: unknown split, or `num_examples` out of range.
    """
    if split not in NUM_EXAMPLES:
        raise ValueError(f"`split` must be one of {', '.join(NUM_EXAMPLES)}. Received: {split!r}.")
    days = list(_days(split))
    if not 1 <= num_examples <= 10 * len(days):
        raise ValueError(
            f"`num_examples` must lie between 1 and {10 * len(days)} for {split}. "
            f"Received: num_examples={num_examples}."
        )

    rng = random.Random(f"{seed}/{split}")  # hashed by SHA-512, the same everywhere
    languages = sorted(LOCALES)
    texts = {}
    while True:
        rng.shuffle(days)
        for day in days:
            language = rng.choice(languages)
            text = write(day, *rng.choice(formats(language)))
            text = vary(text, rng.choice(VARIATIONS), language)
            texts[text] = day.isoformat()
            if len(texts) == num_examples:
                return list(texts.items())


def split_of(day: datetime.date) -> str:
    """The split a day belongs to: of a hundred days about 80 train, 10 validate, 10 test."""
    hundredth = int.from_bytes(hashlib.sha256(day.isoformat().encode()).digest()[:4], "big") % 100
    return "test" if hundredth < 10 else "validation" if hundredth < 20 else "train"


@cache
def formats(language: str) -> tuple[tuple[str, str], ...]:
    """The (locale, CLDR pattern) pairs of a language that tell the date; each written form once."""
    found = {}
    for name in LOCALES[language]:
        locale = Locale.parse(name)
        skeletons = locale.datetime_skeletons
        patterns = [get_date_format(length, locale).pattern for length in _LENGTHS]
        patterns += [skeletons[skeleton].pattern for skeleton in _SKELETONS if skeleton in skeletons]
        for pattern in filter(is_unambiguous, patterns):
            found.setdefault(write(datetime.date(2003, 2, 1), name, pattern), (name, pattern))
    return tuple(found.values())


def is_unambiguous(pattern: str) -> bool:
    """Whether a CLDR date pattern tells its date: all of the year, and no number for a month comes first.

    Unicode Technical Standard 35, part 4: `y` year, `yy` two digits of it, `M` and `MM` the month's number,
    `MMM` and more its name (`L` where it stands alone), `d` day; text in quotes stands for itself.
    """
    fields = re.findall(r"y+|[ML]+|d+", re.sub(r"'[^']*'", "", pattern))
    order = "".join(field[0] for field in fields)
    has_month_name = any(field[0] in "ML" and len(field) > 2 for field in fields)
    return "yy" not in fields and (has_month_name or order in ("yMd", "dMy"))


def write(day: datetime.date, locale: str, pattern: str) -> str:
    """The day as CLDR writes it, in the digits of the locale."""
    text = format_date(day, pattern, locale=locale)
    # Babel formats dates in ASCII digits, whatever the locale counts with.
    return text.translate(_ARABIC_DIGITS) if _counts_in_arabic(locale) else text


@cache
def _counts_in_arabic(locale: str) -> bool:
    return Locale.parse(locale).default_numbering_system == "arab"


# Six in ten texts stay as CLDR writes them.
VARIATIONS = ("as_written",) * 6 + ("typed", "lower_case", "upper_case", "without_commas")


def vary(text: str, variation: str, language: str) -> str:
    """One of the changes that people make to a date: what a keyboard gives, other case, no commas."""
    match variation:
        case "typed":
            return re.sub(r"(?<=\d\.) (?=\d)", "", text.translate(_KEYBOARD))  # 5. 3. 2024 -> 5.3.2024
        case "lower_case":
            return text.lower()
        case "upper_case":
            return (text.replace("i", "İ") if language == "tr" else text).upper()
        case "without_commas":
            return text.translate(_COMMAS)
    return text


@cache
def _days(split: str) -> tuple[datetime.date, ...]:
    length = (LAST_DAY - FIRST_DAY).days + 1
    days = (FIRST_DAY + datetime.timedelta(days=offset) for offset in range(length))
    return tuple(day for day in days if split_of(day) == split)
