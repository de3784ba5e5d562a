"""BLEU inside `fit`."""

import keras
import numpy as np
import pytest
import sacrebleu

from keras_transformer.callbacks import TranslationQuality

SOURCES = ["eins zwei drei vier", "ja", "nein"]
REFERENCES = ["one two three Four", "yes", "no"]


class Phrasebook:
    """Stands in for a translator."""

    def __init__(self, translations):
        self.translations = translations
        self.calls = 0

    def translate(self, sources, batch_size):
        assert sources == SOURCES
        self.calls += 1
        return self.translations


def history(callbacks, epochs=2):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    x = np.ones((4, 2), "float32")
    return model.fit(x, x[:, :1], epochs=epochs, verbose=0, callbacks=callbacks).history


def test_measures_are_in_the_history_and_are_those_of_sacrebleu(capsys):
    translations = ["one two three four", "yes", "yes"]
    quality = TranslationQuality(Phrasebook(translations), SOURCES, REFERENCES, num_shown=1)
    logs = history([quality])
    assert logs["val_bleu"] == [sacrebleu.corpus_bleu(translations, [REFERENCES]).score] * 2
    assert logs["val_chrf"] == [sacrebleu.corpus_chrf(translations, [REFERENCES]).score] * 2
    assert logs["val_exact_match"] == [pytest.approx(100 / 3)] * 2
    assert "tok:13a" in quality.signatures["val_bleu"] and "version" in quality.signatures["val_chrf"]
    shown = capsys.readouterr().out
    assert shown.count("one two three four") == 2 and "yes" not in shown


def test_case_can_be_ignored():
    quality = TranslationQuality(
        Phrasebook([r.lower() for r in REFERENCES]), SOURCES, REFERENCES, lowercase=True
    )
    logs = history([quality], epochs=1)
    assert logs["val_bleu"] == [pytest.approx(100)] and logs["val_exact_match"] == [100]


def test_later_callbacks_can_stop_by_it():
    phrasebook = Phrasebook(REFERENCES)  # perfect at once: no epoch is better than the first
    stop = keras.callbacks.EarlyStopping("val_bleu", mode="max", patience=2)
    logs = history([TranslationQuality(phrasebook, SOURCES, REFERENCES), stop], epochs=9)
    assert len(logs["val_bleu"]) == phrasebook.calls == 3


def test_translates_every_so_many_epochs():
    phrasebook = Phrasebook(REFERENCES)
    history([TranslationQuality(phrasebook, SOURCES, REFERENCES, frequency=3)], epochs=7)
    assert phrasebook.calls == 2


@pytest.mark.parametrize(
    "sources, references, frequency, message",
    [
        ([], [], 1, "at least one source.*Received: 0 sources"),
        (SOURCES, REFERENCES[:2], 1, "Received: 3 sources, 2 references"),
        ("ein", ["a", "b", "c"], 1, "`sources` must be a list of strings. Received: one string"),
        (["ein"], "a", 1, "`references` must be a list of strings. Received: one string"),
        (SOURCES, REFERENCES, 0, "`frequency` must be a positive integer. Received: frequency=0"),
    ],
)
def test_bad_arguments_are_refused(sources, references, frequency, message):
    with pytest.raises(ValueError, match=message):
        TranslationQuality(Phrasebook([]), sources, references, frequency=frequency)
