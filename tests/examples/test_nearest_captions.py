"""examples.nearest_captions: the nearest caption is the sentence itself, if it is there."""

import gzip

from examples import nearest_captions
from tests import bert_folder
from training.import_weights import import_weights


def test_the_nearest_are_printed_first(tmp_path, capsys):
    run = import_weights(bert_folder.make(tmp_path / "source"), tmp_path / "run")
    captions = tmp_path / "captions.gz"
    captions.write_bytes(gzip.compress(b"A cafe\ntwo dogs running\n\na dog, a dog\n"))
    capsys.readouterr()
    nearest_captions.main(
        ["--run", str(run), "--captions", str(captions), "--count", "2", "Two dogs running"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1.000  two dogs running" and len(lines) == 2
