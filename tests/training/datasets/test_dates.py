import datetime
import functools
import hashlib
from collections import Counter

import pytest

from training.datasets import dates

# Leap years starting on each weekday: together they have every pair of weekday and day of the year.
LEAP_YEARS = range(2024, 2052, 4)


@functools.cache
def all_texts(year, with_weekday=None):
    """Every text that `generate` could draw for a day of the year, and its day."""
    texts = []
    for language in dates.LOCALES:
        for locale, pattern in dates.formats(language):
            if with_weekday is None or with_weekday == ("E" in pattern or "c" in pattern):
                for offset in range(366):
                    day = datetime.date(year, 1, 1) + datetime.timedelta(days=offset)
                    text = dates.write(day, locale, pattern)
                    varied = {dates.vary(text, variation, language) for variation in set(dates.VARIATIONS)}
                    texts += [(text, day) for text in varied]
    return texts


@pytest.mark.slow  # of the locale data, which a pinned version does not change
def test_no_text_means_two_dates():
    assert sorted(datetime.date(year, 1, 1).weekday() for year in LEAP_YEARS) == list(range(7))
    meaning = {}
    for year in LEAP_YEARS:
        # The weekday aside, a year shows in its four digits alone: one year speaks for all.
        for text, day in all_texts(year, with_weekday=None if year == 2024 else True):
            digits = str(year)
            in_arabic = digits.translate(dates._ARABIC_DIGITS)
            text = text.replace(digits, "YEAR").replace(in_arabic, "ARABIC YEAR")
            assert text.count("YEAR") == 1, text
            assert meaning.setdefault(text, (day.month, day.day)) == (day.month, day.day), text


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("dd.MM.y", True),
        ("y/MM/dd", True),
        ("MMM d, y", True),
        ("EEEE, d 'de' MMMM 'de' y", True),
        ("d LLLL y", True),
        ("M/d/y", False),  # 3/5/2024
        ("dd/MM/yy", False),  # 01/02/03
        ("yy. M. d.", False),
        ("d MMM yy", False),
        ("y-dd-MM", False),
    ],
)
def test_formats_that_do_not_tell_the_date_are_refused(pattern, expected):
    assert dates.is_unambiguous(pattern) is expected


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("الثلاثاء، ٥ مارس ٢٠٢٤", "2024-03-05"),
        ("الثلاثاء، 5 مارس 2024", "2024-03-05"),
        ("úterý 5. března 2024", "2024-03-05"),
        ("Di., 5. März 2024", "2024-03-05"),
        ("March 5, 2024", "2024-03-05"),
        ("5 March 2024", "2024-03-05"),
        ("05/03/2024", "2024-03-05"),
        ("2024-03-05", "2024-03-05"),
        ("martes, 5 de marzo de 2024", "2024-03-05"),
        ("mardi 5 mars 2024", "2024-03-05"),
        ("मंगलवार, 5 मार्च 2024", "2024-03-05"),
        ("martedì 5 marzo 2024", "2024-03-05"),
        ("2024年3月5日火曜日", "2024-03-05"),
        ("2024년 3월 5일 화요일", "2024-03-05"),
        ("dinsdag 5 maart 2024", "2024-03-05"),
        ("wtorek, 5 marca 2024", "2024-03-05"),
        ("terça-feira, 5 de março de 2024", "2024-03-05"),
        ("вторник, 5 марта 2024 г.", "2024-03-05"),
        ("tisdag 5 mars 2024", "2024-03-05"),
        ("5 Mart 2024 Salı", "2024-03-05"),
        ("2024年3月5日星期二", "2024-03-05"),
        ("2024年3月5日 週二", "2024-03-05"),
        ("5.3.2024", "2024-03-05"),  # also what a Czech keyboard makes of 5. 3. 2024
        ("2024.3.5.", "2024-03-05"),
        ("3/5/2024", "2024-05-03"),  # never month first
        ("5/3/24", None),
    ],
)
def test_dates_as_people_write_them_are_among_the_texts(text, iso):
    assert {day.isoformat() for other, day in all_texts(2024) if other == text} == ({iso} if iso else set())


def test_turkish_capitals_keep_their_dot():
    assert dates.vary("8 Nisan 2024 Pazartesi", "upper_case", "tr") == "8 NİSAN 2024 PAZARTESİ"
    assert dates.vary("lundi 8 avril 2024", "upper_case", "fr") == "LUNDI 8 AVRIL 2024"


def test_a_day_belongs_to_one_split_whatever_the_seed():
    days = {
        split: {iso for seed in (1, 2) for _, iso in dates.generate(split, 3_001, seed)}
        for split in dates.NUM_EXAMPLES
    }
    assert not days["train"] & days["validation"]
    assert not days["train"] & days["test"]
    assert not days["validation"] & days["test"]


def test_about_one_day_in_ten_is_for_validation_and_one_for_test():
    days = [datetime.date.fromordinal(n) for n in range(693_596, 766_645)]
    assert (days[0], days[-1]) == (dates.FIRST_DAY, dates.LAST_DAY)
    share = {split: 0 for split in dates.NUM_EXAMPLES}
    for day in days:
        share[dates.split_of(day)] += 1 / len(days)
    assert share == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.01)


def test_pairs_are_the_same_for_a_seed_and_others_for_another():
    pairs = dates.generate("validation", 101, seed=7)
    assert pairs == dates.generate("validation", 101, seed=7)
    assert pairs != dates.generate("validation", 101, seed=8)
    # Days and languages do not depend on the version of Babel, nor on platform and Python.
    digest = hashlib.sha256(" ".join(iso for _, iso in pairs).encode()).hexdigest()
    assert digest[:16] == "dbc0ae70af4c5129"


def test_no_text_comes_twice_in_the_default_sizes():
    for split, size in dates.NUM_EXAMPLES.items():
        texts = [text for text, _ in dates.generate(split, size, seed=0)]
        assert len(set(texts)) == len(texts) == size


def test_every_language_format_and_variation_is_drawn(monkeypatch):
    formats, variations, write, vary = set(), Counter(), dates.write, dates.vary

    def recording_write(day, *format):
        formats.add(format)
        return write(day, *format)

    def recording_vary(text, variation, language):
        variations[language, variation] += 1
        return vary(text, variation, language)

    expected = {format for language in dates.LOCALES for format in dates.formats(language)}
    monkeypatch.setattr(dates, "write", recording_write)
    monkeypatch.setattr(dates, "vary", recording_vary)
    dates.generate("train", 4_001, seed=0)

    assert formats == expected
    assert {language for language, _ in variations} == set(dates.LOCALES)
    share = sum(n for (_, variation), n in variations.items() if variation == "as_written") / 4_001
    assert share == pytest.approx(0.6, abs=0.05)
    assert all(
        variations[language, variation] for language in dates.LOCALES for variation in dates.VARIATIONS
    )


def test_more_pairs_than_days_are_drawn_without_repeating_a_text():
    pairs = dates.generate("test", 20_011, seed=3)
    assert len({text for text, _ in pairs}) == 20_011
    assert len({iso for _, iso in pairs}) < 8_000


def test_load_gives_strings_and_takes_the_number_of_training_pairs():
    train = dates.load("train", num_examples=13, seed=5)
    assert train.cardinality() == 13
    expected = [(text.encode(), iso.encode()) for text, iso in dates.generate("train", 13, seed=5)]
    assert list(train.as_numpy_iterator()) == expected
    assert dates.load("test", num_examples=13).cardinality() == 2_000


@pytest.mark.parametrize("num_examples", [0, -1, 10_000_000])
def test_a_number_of_pairs_out_of_range_is_refused(num_examples):
    with pytest.raises(
        ValueError, match=f"between 1 and .* for train. Received: num_examples={num_examples}"
    ):
        dates.generate("train", num_examples, seed=0)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="one of train, validation, test. Received: 'dev'"):
        dates.generate("dev", 1, seed=0)
