"""The page of an evaluation: complete, by itself, and harmless whatever the sentences hold."""

from html.parser import HTMLParser

import pytest

from keras_transformer import quality
from training import entity_measures, report
from training.evaluate import Evaluation
from training.tasks.tagging import TaggingConfig
from training.tasks.translation import DataConfig, TranslationConfig

EVIL = "<script>alert('x')</script> & \"<img src=x onerror=alert(1)>\" $x$"
NUM = 30
RECORDS = [{"epoch": 1, "seconds": 9.0, "loss": 2.0, "learning_rate": 0.1, "val_bleu": 3.0}]


def an_evaluation(compared=True):
    references = [f"sentence number {number} of them all" for number in range(NUM - 1)] + [EVIL]
    # The more words are left, the better.
    translations = [" ".join(text.split()[: number % 6]) for number, text in enumerate(references[:-1])]
    translations.append(EVIL)
    systems = {EVIL: translations, "other": references}
    return Evaluation(
        system=EVIL,
        config=TranslationConfig(data=DataConfig(name="multi30k", data_dir=EVIL, source_language="de")),
        split="test",
        search="beam 4, alpha 0.6",
        lowercase=False,
        sources=[f"source {number}" for number in range(NUM - 1)] + [EVIL],
        references=references,
        translations=translations,
        source_lengths=[2] * (NUM - 1) + [9],
        names=("bleu", "chrf"),
        measures=list(quality.measure(translations, references, ("bleu", "chrf")).values()),
        compared=quality.paired_bootstrap(systems, references, ["bleu"], num_samples=20) if compared else [],
    )


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and texts by the headline above them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.headline = [], {}, None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        tag = self.elements[-1][0] if self.elements else None
        if tag in ("h1", "h2", "h3") and data.strip():
            self.headline = self.headline if data.isspace() else data
            self.texts.setdefault(self.headline, [])
        if data.strip() and self.headline:
            self.texts[self.headline].append(data)


@pytest.fixture(scope="module")
def evaluation():
    return an_evaluation()


@pytest.fixture(scope="module")
def page(evaluation):
    return report.page(evaluation, RECORDS)


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def test_the_page_needs_nothing_else(page, read):
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"}
    for _, attributes in read.elements:
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in ("src", "href") and (name != "xlink:href" or value.startswith("#"))
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": report.POLICY}) in read.elements
    assert page.count("<svg ") == 2


def test_a_sentence_that_holds_a_script_is_text(page, read):
    assert "<script" not in page.lower() and "<img" not in page.lower()
    # Source, translation and reference: it is among the best.
    assert read.texts["Best"].count(EVIL) == 3
    assert f"{EVIL}, test" in read.texts and EVIL in read.texts["Comparison"]
    assert "alert" in "".join(read.texts["Configuration"])


def test_the_page_holds_everything(read, evaluation):
    headlines = ["Measures", "Comparison", "Training", "BLEU by length of the source", "Sentences"]
    headlines += ["At random (seed 0)", "Best", "Worst", "Configuration"]
    assert [headline for headline in read.texts if headline in headlines] == headlines
    for found in evaluation.measures:
        assert {found.name, f"{found.value:.2f}", found.signature} <= set(read.texts["Measures"])
    compared = evaluation.compared[1]
    assert {"other", "100.00", f"{compared.p_value:.4f}"} <= set(read.texts["Comparison"])
    assert compared.signature in read.texts["Comparison"][-1]
    assert "norm_first: false" in "".join(read.texts["Configuration"])
    # Two ranges of lengths, 29 sentences and one.
    assert {"1 to 2", "29", "9 to 10", "1"} <= set(read.texts["BLEU by length of the source"])


def test_sentences_are_ranked_and_drawn(read):
    head = ["source", "translation", "reference", "chrF"]
    for headline in ("At random (seed 0)", "Best", "Worst"):
        assert [text for text in read.texts[headline] if text in head] == head
    scores = {
        headline: [
            float(text) for text in read.texts[headline] if text.replace(".", "").isdigit() and "." in text
        ]
        for headline in ("Best", "Worst")
    }
    assert len(scores["Best"]) == len(scores["Worst"]) == report.NUM_SAMPLES
    assert scores["Best"] == sorted(scores["Best"], reverse=True) and scores["Best"][0] == 100
    assert scores["Worst"] == sorted(scores["Worst"]) and scores["Worst"][0] == 0
    assert max(scores["Worst"]) < min(scores["Best"])


def test_a_narrow_window_scrolls_what_is_wide_and_breaks_no_word_into_letters(page):
    for element in ("<table>", "<svg "):
        assert page.count(element) == page.count(f'<div class="wide">{element}') > 0
    style = page[page.index("<style>") : page.index("</style>")]
    assert ".wide { overflow-x: auto; }" in style
    # Cells that may be broken anywhere have a least width.
    for name in ("long", "name", "dim"):
        assert f'<td class="{name}"' in page and "min-width" in style.split(f".{name} {{")[-1].split("}")[0]
    head = page[page.index("<h2>Comparison</h2>") :]
    assert '<th class="name">system</th>' in head[: head.index("</tr>")]


def test_the_same_sentences_are_drawn_each_time(page, evaluation):
    assert report.page(evaluation, RECORDS) == page


def test_what_is_not_there_is_left_out():
    page = report.page(an_evaluation(compared=False), [])
    read = Reader(page)
    assert "Comparison" not in read.texts and "Training" not in read.texts and page.count("<svg ") == 1


def test_a_report_is_a_file_or_lies_in_a_folder(tmp_path):
    assert report.place(str(tmp_path)) == tmp_path / "report.html"
    assert report.place(str(tmp_path / "new" / "folder")) == tmp_path / "new" / "folder" / "report.html"
    assert report.place(str(tmp_path / "page.html")) == tmp_path / "page.html"
    assert not list(tmp_path.iterdir())  # nothing is made before there is something to write
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ValueError, match="`report` must be a file .* Received: .*report.html, a folder"):
        report.place(str(tmp_path))
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="folder that can be written. Received: .*file/report.html"):
        report.place(str(tmp_path / "file"))


def test_other_kinds_have_their_measures_and_tables():
    words = [["B-<b>", "I-<b>", "O"], ["O"]]
    measures = entity_measures.measure(
        words, [["B-<b>", "O", "O"], ["O"]], ["B-<b>", "I-<b>", "O"], "split:test"
    )
    records = [{"epoch": 1, "seconds": 9.0, "loss": 2.0, "val_accuracy": 0.5}]
    page = report.page_of_measures("runs/names, test", measures, TaggingConfig(), records)
    read = Reader(page)
    assert "0.7500" in read.texts["Measures"] and "(3 of 4 words)" in read.texts["Measures"]
    assert read.texts["entity F1"][1:] == ["type", "precision", "recall", "F1", "entities"] + [
        "<b>",
        *["0.0000"] * 3,
        "1",
    ]
    assert "accuracy, validation" in page and "kind: tagger" in page and "<b>" not in page


def test_the_page_is_written_whole_or_not_at_all(tmp_path, evaluation, page, monkeypatch):
    path = tmp_path / "new" / "report.html"
    report.write(path, report.page(evaluation, RECORDS))
    assert path.read_text(encoding="utf-8") == page
    monkeypatch.setattr(report, "page", lambda *_: "half a page \ud800")
    with pytest.raises(UnicodeEncodeError):
        report.write(path, report.page(evaluation, RECORDS))
    assert path.read_text(encoding="utf-8") == page
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
