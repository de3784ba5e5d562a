"""Splits of Tatoeba's pairs share no sentence."""

import gzip

from examples import tatoeba_pairs


def read(path):
    return [tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").splitlines()]


def test_no_side_of_a_held_out_pair_is_trained_on(tmp_path, monkeypatch, capsys):
    # Sentences in several pairs, and in other cases and with other signs.
    lines = [f"Satz {i // 2}{'!.'[i % 2]}\tSentence {i // 3}\tmore\n" for i in range(600)] + ["...\tdots\n"]
    with gzip.open(tmp_path / "pairs.tsv.gz", "wt", encoding="utf-8") as file:
        file.writelines(lines + lines[:50])
    monkeypatch.setattr(tatoeba_pairs.splits, "__defaults__", (40,))
    tatoeba_pairs.main([str(tmp_path / "pairs.tsv.gz"), str(tmp_path / "out")])
    found = {name: read(tmp_path / f"out/{name}.tsv") for name in ("train", "validation", "test")}
    assert len(found["validation"]) == len(found["test"]) == 40 and len(found["train"]) > 300
    for split, others in (("test", ("train", "validation")), ("validation", ("train", "test"))):
        for side in (0, 1):
            held_out = {tatoeba_pairs.plain(pair[side]) for pair in found[split]}
            for other in others:
                assert held_out.isdisjoint(tatoeba_pairs.plain(pair[side]) for pair in found[other])
    assert len(set(found["train"])) == len(found["train"])
    assert "train.tsv: " in capsys.readouterr().out
    before = {name: (tmp_path / f"out/{name}.tsv").read_bytes() for name in found}
    tatoeba_pairs.main([str(tmp_path / "pairs.tsv.gz"), str(tmp_path / "out")])
    assert before == {name: (tmp_path / f"out/{name}.tsv").read_bytes() for name in found}
