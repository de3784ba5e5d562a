"""`translate --choose`: one translation of several, by their likeness or by the other direction."""

from keras_transformer import decoding
from keras_transformer.pipelines import reranking
from keras_transformer.pipelines.translator import Translator
from tests.tiny_runs import MAX_LENGTH
from training import translate

SOURCES = ["5 March 2031", "", "2. 3. 1999"]


def test_the_command_writes_one_of_them(drawn_run, capsys, fails, monkeypatch):
    run = drawn_run
    translator = Translator.from_run(run, decoding.BeamSearch(MAX_LENGTH, n_best=3))
    # Its graphs serve all commands.
    monkeypatch.setattr(Translator, "from_run", lambda *_, **__: translator)
    given = ["--run", str(run), "--n_best", "3"]
    found = translator.hypotheses(SOURCES)
    capsys.readouterr()
    translate.main([*given, "--choose", "chrf", *SOURCES])
    expected = [reranking.minimum_bayes_risk(row, are_samples=False)[0].text for row in found]
    assert capsys.readouterr().out.splitlines() == expected
    translate.main([*given, "--choose", "reverse", "--reverse", str(run), *SOURCES])
    ranked = reranking.noisy_channel(translator, translator, SOURCES, found)
    assert capsys.readouterr().out.splitlines() == [row[0].text for row in ranked]
    assert "--n_best N. Received: n_best=1" in fails(translate.main, "--run", run, "--choose", "bleu", "7")
    assert "need each other" in fails(translate.main, *given, "--choose", "reverse", "7")
    assert "need each other" in fails(translate.main, *given, "--reverse", run, "7")
    wrong = ["--choose", "reverse", "--reverse", run, "--reverse_weight", "-1"]
    assert "`reverse_weight` must be at least 0" in fails(translate.main, *given, *wrong, "7")
