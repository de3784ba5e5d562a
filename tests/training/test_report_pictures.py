"""The pictures of a report: what is drawn, and that they fit into any page."""

import re
from xml.etree import ElementTree

import matplotlib
import pytest

from training import report_pictures
from training.report_pictures import length_buckets

RECORDS = [
    {"epoch": 1, "seconds": 60.0, "loss": 3.0, "val_loss": 3.5, "learning_rate": 0.1},
    {"epoch": 2, "seconds": 180.0, "loss": 2.0, "val_loss": 2.5, "learning_rate": 0.2, "val_bleu": 7.0},
    {"epoch": 3, "seconds": 240.0, "loss": float("nan"), "val_loss": 2.0, "learning_rate": 0.1},
]


def texts(svg):
    return [element.text for element in parsed(svg).iter("text")]


def parsed(svg):
    return ElementTree.fromstring(f'<page xmlns:xlink="xlink">{svg}</page>')


def test_curves_show_what_the_metrics_hold():
    found = texts(report_pictures.curves(RECORDS, "val_bleu", "BLEU"))
    titles = ["loss", "BLEU, validation", "BLEU, validation", "learning rate"]
    assert [text for text in found if text in {*titles, "norm of the gradient"}] == titles
    assert {"training", "validation", "minutes", "epoch"} <= set(found)

    more = [{**record, "gradient_norm": 1.0, "tokens_per_second": 5000.0} for record in RECORDS]
    found = texts(report_pictures.curves(more, "val_exact_match", "exact match"))
    assert {"norm of the gradient", "tokens per second"} <= set(found)
    assert "exact match, validation" not in found


def test_without_metrics_there_are_no_curves():
    assert report_pictures.curves([], "val_bleu", "BLEU") == ""


def test_points_are_those_of_the_epochs_that_have_the_entry():
    assert report_pictures.points_of(RECORDS, "epoch", "val_bleu") == [(2, 7.0)]
    assert report_pictures.points_of(RECORDS, "minutes", "val_bleu") == [(3.0, 7.0)]
    assert report_pictures.points_of(RECORDS, "epoch", "learning_rate") == [(1, 0.1), (2, 0.2), (3, 0.1)]


def test_bars_have_their_values_and_counts():
    buckets = [("1 to 5", [0, 2, 3]), ("6 to 10", []), ("11 and more", [1])]
    found = texts(report_pictures.by_length(buckets, [12.34, None, 56.0], "BLEU"))
    assert found[:6] == ["1 to 5", "3", "6 to 10", "0", "11 and more", "1"]
    assert found[-2:] == ["12.3", "56.0"] and "BLEU" in found


def test_pictures_share_a_page_and_take_its_colours():
    curves = report_pictures.curves(RECORDS, "val_bleu", "BLEU")
    bars = report_pictures.by_length([("1 to 5", [0])], [1.0], "BLEU")
    both = [set(re.findall(r' id="([^"]*)"', svg)) for svg in (curves, bars)]
    assert both[0] and both[1] and not both[0] & both[1]
    for svg, ids in zip((curves, bars), both, strict=True):
        assert svg.startswith("<svg role=") and "http" not in svg
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', svg)) <= ids
        assert "currentColor" in svg and report_pictures.INK not in svg
        # All that is text or axis: a colour of matplotlib's own would vanish on one of the two grounds.
        for element in parsed(svg).iter("text"):
            assert "fill: currentColor" in element.get("style")


def test_equal_metrics_make_equal_pictures_and_leave_matplotlib_as_it_was():
    before = dict(matplotlib.rcParams)
    pictures = {report_pictures.curves(RECORDS, "val_bleu", "BLEU") for _ in range(2)}
    assert len(pictures) == 1
    assert dict(matplotlib.rcParams) == before and before["text.color"] != report_pictures.INK


@pytest.mark.parametrize(
    ("lengths", "labels"),
    [
        ([3], ["1 to 1", "2 to 2", "3 to 3"]),
        ([0, 0], ["1 to 1"]),
        ([*range(1, 39)], ["1 to 5", "6 to 10", *[None] * 5, "36 to 40"]),
        ([7] * 99 + [500], [*[None] * 6, "7 and more"]),
        ([12] * 50 + [90] * 50, ["1 to 20", None, None, None, "81 to 100"]),
    ],
)
def test_each_sentence_is_in_one_range_of_lengths(lengths, labels):
    buckets = length_buckets(lengths)
    assert sorted(index for _, indices in buckets for index in indices) == list(range(len(lengths)))
    for (label, _), expected in zip(buckets, labels, strict=True):
        assert expected in (None, label)
    for label, indices in buckets[:-1]:
        first, last = map(int, label.split(" to "))
        assert all(first <= max(lengths[index], 1) <= last for index in indices)
