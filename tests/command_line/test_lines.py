"""Lines in and out: columns hold, files end with whole lines, a progress bar disturbs nothing."""

import gzip
import io
import resource
import sys

import pytest

from command_line import lines


def test_a_column_holds_no_tab_and_no_line_end():
    text = "a\tb\nc\r\nd\u2028e\u0085f"
    assert lines.one_line(text) == "a b c  d e f"
    assert len(lines.one_line(text).splitlines()) == 1


def test_a_piece_that_is_a_space_can_be_seen_between_pieces():
    assert lines.joined_pieces(["a", " ", "\n", "b"]) == "a \u2581 \u2581 b"


def test_chunks_keep_the_order_and_the_rest():
    assert list(lines.chunks(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(lines.chunks([])) == []


def test_what_is_given_comes_before_lines_and_all_is_bytes(tmp_path, monkeypatch):
    path = tmp_path / "in.txt"
    path.write_bytes(b"\xef\xbb\xbfa\r\n\nb\xff\x00\n\xef\xbb\xbfc")
    expected = [b"a", b"", b"b\xff\x00", b"\xef\xbb\xbfc"]  # the mark of a file is at its beginning
    with lines.reader(path=str(path)) as found:
        assert list(found) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    with lines.reader() as found:
        assert list(found) == expected
    with lines.reader(["\u00e4", "a\n", "\udcff"]) as found:
        assert list(found) == [b"\xc3\xa4", b"a\n", b"\xff"]


@pytest.mark.parametrize(
    ("data", "kind"), [(gzip.compress(b"a\n", mtime=0), "gzip"), ("a\n".encode("utf-16"), "UTF-16")]
)
def test_what_is_no_text_is_told_before_it_becomes_one(tmp_path, data, kind):
    (tmp_path / "in.txt").write_bytes(data)
    with pytest.raises(ValueError, match=f"must be UTF-8, and not compressed. Received: .*in.txt, {kind}"):
        with lines.reader(path=str(tmp_path / "in.txt")):
            pass


def test_closed_ends_are_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="Give a text, or lines on standard input. Received: none"):
        with lines.reader():
            pass
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="Received: a closed standard output"):
        with lines.writer(None):
            pass


def test_a_file_is_kept_until_the_first_lines_and_then_holds_them_alone(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("what was there\n" * 100)
    with lines.writer(str(path)) as write:
        assert path.read_text().startswith("what was there")
        write(["ä", "b"])
        assert path.read_text(encoding="utf-8") == "ä\nb\n"  # already, for who looks into it
        write(["c"])
    assert path.read_text(encoding="utf-8") == "ä\nb\nc\n"


def test_a_command_that_fails_before_its_first_lines_loses_nothing(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("precious\n")
    with pytest.raises(KeyError), lines.writer(str(path)):
        raise KeyError("no model")
    assert path.read_text() == "precious\n"


def test_without_lines_the_file_is_empty(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("what was there\n")
    with lines.writer(str(path)):
        pass
    assert path.read_text() == ""


def test_a_full_disk_leaves_whole_lines(tmp_path):
    path = tmp_path / "out.txt"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match="File too large"), lines.writer(str(path)) as write:
        write(["one", "two"])
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
            write(["three", "four"])  # two bytes of them fit
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "one\ntwo\n"


def test_an_output_that_is_no_file_may_be_written():
    with lines.writer("/dev/null", inputs=["/dev/null"]) as write:
        write(["a"])


def test_an_input_is_not_overwritten(tmp_path):
    path = tmp_path / "in.txt"
    path.write_text("precious\n")
    (tmp_path / "link.txt").symlink_to(path)
    with pytest.raises(ValueError, match="another file than the input. Received: .*link.txt"):
        with lines.writer(str(tmp_path / "link.txt"), inputs=[None, str(path)]):
            pass
    assert path.read_text() == "precious\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_is_for_a_person_who_sees_nothing_else(monkeypatch, capsys):
    with lines.progress_bar(7, None) as progress:
        assert progress is None  # standard error is no terminal
    monkeypatch.setattr(sys, "stderr", Terminal())
    with lines.progress_bar(None, "out.txt") as progress:
        assert progress is None  # of a stream nobody knows the length
    with lines.progress_bar(7, None) as progress:  # standard output goes to a file
        progress(3)
        progress(4)
        print("a translation")
    assert "7/7" in sys.stderr.getvalue() and "a translation" not in sys.stderr.getvalue()
    assert capsys.readouterr().out == "a translation\n"
    monkeypatch.setattr(sys, "stdout", Terminal())
    with lines.progress_bar(7, None) as progress:
        assert progress is None  # translations come to the same screen
