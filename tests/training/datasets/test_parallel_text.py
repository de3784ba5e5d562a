import gzip

import pytest

from training import datasets
from training.datasets import parallel_text


@pytest.fixture
def write(tmp_path):
    """Writes bytes or text to a file of the temporary folder and returns its path."""

    def write_file(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def pairs_of(*files):
    dataset = parallel_text.load("train", files=files)
    return [tuple(side.decode() for side in pair) for pair in dataset.as_numpy_iterator()]


def test_two_files_are_read_line_by_line(write):
    source, target = write("a.de", "Der Hund\nläuft .\n"), write("a.en", "the dog\nruns .\n")
    assert pairs_of(source, target) == [("Der Hund", "the dog"), ("läuft .", "runs .")]


def test_a_tsv_file_holds_both_sides(write):
    assert pairs_of(write("a.tsv", "eins\tone\nzwei\ttwo")) == [("eins", "one"), ("zwei", "two")]


def test_gzip_files_are_told_by_their_content(write):
    # Two members, as `cat a.gz b.gz` makes them.
    source = write("a.de.gz", gzip.compress(b"eins\n") + gzip.compress(b"zwei\n"))
    target = write("a.en", gzip.compress(b"one\ntwo\n"))
    assert pairs_of(source, target) == [("eins", "one"), ("zwei", "two")]


def test_line_ends_and_marks_of_other_systems_do_not_reach_the_text(write):
    source, target = write("a.de", "\ufeffeins\r\nzwei\r\n"), write("a.en", " one \ntwo\t")
    assert pairs_of(source, target) == [("eins", "one"), ("zwei", "two")]


def test_a_line_ends_at_a_line_feed_only(write):
    odd = "a\u2028b\x0cc\x85d\re"
    assert pairs_of(write("a", f"{odd}\nzwei\n"), write("b", "one\ntwo\n")) == [(odd, "one"), ("zwei", "two")]


def test_pairs_with_an_empty_side_are_left_out_and_counted(write, caplog):
    source, target = write("a", "eins\n\n \nvier\nfünf\n"), write("b", "one\ntwo\n\n\t\nfive\n")
    dataset = parallel_text.load("train", files=[source, target])
    assert dataset.cardinality() == 2
    assert len(list(dataset)) == 2
    assert f"3 of 5 pairs in {source} and {target} are left out" in caplog.text


def test_the_order_is_that_of_the_file_each_time_and_longer_than_a_block(write):
    length = 2 * parallel_text._BLOCK + 3
    path = write("a.tsv", "".join(f"{i}\t{-i}\n" for i in range(length)))
    dataset = parallel_text.load("train", files=[path])
    assert dataset.cardinality() == length
    for _ in range(2):
        read = [
            pair for batch in dataset.batch(1000).as_numpy_iterator() for pair in zip(*batch, strict=True)
        ]
        assert read == [(str(i).encode(), str(-i).encode()) for i in range(length)]


def test_files_of_unequal_length_are_refused_with_both_counts(write):
    source, target = write("a.de", "eins\nzwei\ndrei\n"), write("a.en", "one\ntwo\n")
    with pytest.raises(ValueError, match=f"equally many.*{source} with 3 and {target} with 2 lines"):
        parallel_text.load("train", files=[source, target])
    with pytest.raises(ValueError, match=f"{target} with 2 and {source} with 3 lines"):
        parallel_text.load("train", files=[target, source])


@pytest.mark.parametrize("empty", [b"", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(write, empty):
    empty, full = write("empty", empty), write("full", "eins\n")
    for files in ([empty, full], [full, empty], [empty]):
        with pytest.raises(ValueError, match=f"at least one line. Received: {empty}, which is empty"):
            parallel_text.load("train", files=files)


def test_a_file_of_empty_lines_is_refused(write):
    with pytest.raises(ValueError, match="at least one pair with two sides. Received: .*a.tsv"):
        parallel_text.load("train", files=[write("a.tsv", "\tone\nzwei\t\n")])


def test_invalid_utf_8_is_refused_with_file_and_line(write):
    latin_1, target = write("a.de", "eins\nfünf\n".encode("latin-1")), write("a.en", "one\nfive\n")
    with pytest.raises(ValueError, match=f"valid UTF-8. Received: {latin_1}, line 2, byte 0xfc"):
        parallel_text.load("train", files=[latin_1, target])


@pytest.mark.parametrize(("line", "tabs"), [("zwei", 0), ("zwei\ttwo\t2", 2), ("", 0)])
def test_a_tsv_line_without_exactly_one_tab_is_refused(write, line, tabs):
    path = write("a.tsv", f"eins\tone\n{line}\ndrei\tthree\n")
    with pytest.raises(ValueError, match=f"exactly one tab. Received: {path}, line 2, with {tabs} tabs"):
        parallel_text.load("train", files=[path])


def test_a_missing_file_is_named(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"Received: {tmp_path / 'none.en'}"):
        parallel_text.load("train", files=[write("a.de", "eins\n"), tmp_path / "none.en"])
    with pytest.raises(FileNotFoundError, match=f"Received: {tmp_path}"):
        parallel_text.load("train", files=[tmp_path])


def test_a_cut_gzip_file_is_refused(write):
    whole = gzip.compress(bytes(range(97, 123)) * 97)
    path = write("a.gz", whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"must be whole. Received: {path}"):
        parallel_text.load("train", files=[path])


@pytest.mark.parametrize("files", [[], ["a", "b", "c"]])
def test_other_than_one_or_two_files_is_refused(files):
    with pytest.raises(
        ValueError, match="needs a source and a target file, or one TSV file.*Received: test="
    ):
        datasets.load("parallel_text", "test", files=files)


def test_errors_are_one_line(write):
    with pytest.raises(ValueError) as error:
        parallel_text.load("train", files=[write("a", "x\ny\n"), write("b", "x\n")])
    assert "\n" not in str(error.value)


def test_columns_may_be_named_in_any_order_and_others_left_out(write):
    file = write("a.tsv", "one\teins\tby A\ntwo\tzwei\tby B\n")
    columns = ["target", "source", "attribution"]
    dataset = parallel_text.load("train", files=[file], columns=columns)
    assert list(dataset.as_numpy_iterator()) == [(b"eins", b"one"), (b"zwei", b"two")]


def test_a_column_too_many_says_what_to_do(write):
    file = write("a.tsv", "one\teins\tby A\n")
    with pytest.raises(ValueError, match="exactly one tab. .*line 1, with 2 tabs; cut -f1,2 .*data.columns"):
        pairs_of(file)
    with pytest.raises(ValueError, match="exactly 3 tabs. .* with 2 tabs[.]$"):
        parallel_text.load("train", files=[file], columns=["source", "target", "a", "b"])


@pytest.mark.parametrize("columns", [["source"], ["source", "source", "target"], ["a", "b"]])
def test_columns_hold_both_sides_once(write, columns):
    with pytest.raises(ValueError, match="`columns` must hold source and target, once each"):
        parallel_text.load("train", files=[write("a.tsv", "a\tb\n")], columns=columns)


def test_columns_are_of_one_file_and_of_this_data_set(write):
    columns = ["source", "target", "attribution"]
    with pytest.raises(ValueError, match="`columns` are of one TSV file"):
        parallel_text.load("train", files=[write("a", "a\n"), write("b", "b\n")], columns=columns)
    with pytest.raises(ValueError, match="`columns` is no option of the data set dates"):
        datasets.load("dates", "train", columns=columns)
