"""Text to text: order, batches, prefixes, attention, ensembles, and scores that agree with the search."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding, tokenizers
from keras_transformer.pipelines.hypotheses import Hypothesis, batches, read
from keras_transformer.pipelines.translator import Translator
from keras_transformer.saving.model_files import load_model
from tests import tiny_runs
from tests.tiny_runs import DIGITS, MAX_LENGTH, NUM_HEADS, NUM_LAYERS

N_BEST = 3
TEXTS = ["5 March 2031", "", "2. 3. 1999", "среда", "7 7 7", "on the twelfth of May in the year 1987", "7"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_runs.make(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def translator(run):
    return Translator.from_run(run, decoding.BeamSearch(MAX_LENGTH, n_best=N_BEST))


@pytest.fixture(scope="module")
def found(translator):
    return translator.hypotheses(TEXTS, with_attention=True)


def same(found, expected):
    """Whether two lists of lists of hypotheses hold the same texts with about the same scores."""
    for ours, theirs in zip(found, expected, strict=True):
        assert [x.text for x in ours] == [x.text for x in theirs]
        np.testing.assert_allclose([x.score for x in ours], [x.score for x in theirs], atol=1e-4)


def test_the_fixture_answers_other_questions_otherwise(found):
    assert len({best.text for best, *_ in found}) >= 5


def test_the_best_of_n_comes_first_and_no_two_are_alike(found, translator):
    for text, hypotheses in zip(TEXTS, found, strict=True):
        assert len(hypotheses) == N_BEST
        if text:
            lengths = np.array([len(hypothesis.target_pieces) for hypothesis in hypotheses])
            scores = np.array([hypothesis.score for hypothesis in hypotheses])
            ranks = scores / ((5 + lengths) / 6) ** translator.search.alpha
            assert (np.diff(ranks) <= 0).all()
            assert len({hypothesis.text for hypothesis in hypotheses}) == N_BEST


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_the_order_is_restored_whatever_the_batches(translator, found, batch_size):
    done = []
    same(translator.hypotheses(TEXTS, batch_size, progress=done.append), found)
    assert sum(done) == len(TEXTS) and max(done) <= batch_size


def test_all_ways_to_ask_give_the_same_translations(translator, found):
    best = [hypotheses[0].text for hypotheses in found]
    assert translator.translate(TEXTS) == best
    assert translator.translate([text.encode() for text in TEXTS]) == best
    texts, scores = translator.n_best(tf.constant(TEXTS))
    assert texts.shape == scores.shape == (len(TEXTS), N_BEST)
    assert [text.decode() for text in texts[:, 0].numpy()] == best
    ids, id_scores = translator.tokens(translator.source_ids(tf.constant([TEXTS[0]])))
    assert ids.shape == (1, N_BEST, MAX_LENGTH)
    np.testing.assert_allclose(id_scores[0], scores[0], atol=1e-4)


def test_one_string_is_one_text(translator, found):
    assert translator.translate(TEXTS[0]) == translator.translate(TEXTS[0].encode()) == found[0][0].text
    for ask in (translator.hypotheses, lambda text: translator.hypotheses(["7"], prefixes=text)):
        with pytest.raises(
            ValueError, match="must be a list of strings. Received: one string, '5 March 2031'"
        ):
            ask(TEXTS[0])
    with pytest.raises(ValueError, match="`texts` must be a list of strings. Received: NoneType as number 1"):
        translator.translate(["7", None])
    with pytest.raises(ValueError, match=r"batch of strings, \(B,\)"):
        translator(TEXTS[0])


def test_equal_texts_are_sampled_each_for_itself_whatever_the_batches(run):
    sampling = Translator.from_run(run, decoding.Sampling(MAX_LENGTH, temperature=2.0, seed=3))
    texts = ["7 7 7", "5 March", "7 7 7", "7 7 7"]
    found = sampling.translate(texts)
    assert len(set(found)) == 4
    assert sampling.translate(texts, batch_size=1) == sampling.translate(texts, batch_size=2) == found
    assert sampling.translate(texts[:1]) == found[:1]


def test_a_sample_follows_from_text_and_seed(run):
    sampling = Translator.from_run(run, decoding.Sampling(MAX_LENGTH, temperature=2.0, seed=3))
    texts = ["7 7 7", "5 March", "7 7 7"]
    other, same, *_ = found = [x.text for (x,) in sampling.hypotheses(texts, seeds=[9, 3, 9])]
    assert found[2] == other and same == sampling.translate(texts[1])
    assert sampling(tf.constant(texts), tf.constant([9, 3, 9])).numpy().tolist() == [
        x.encode() for x in found
    ]
    with pytest.raises(ValueError, match="same number of rows. Received: 3 of source_ids, 2 of seed"):
        sampling(tf.constant(texts), tf.constant([9, 3]))


class Coarse(tokenizers.CharacterTokenizer):
    """Many spellings of one text: all digits read 9."""

    def detokenize(self, ids):
        return tf.strings.regex_replace(super().detokenize(ids), "[0-9]", "9")


def test_an_n_best_list_holds_a_text_once_and_is_filled_up(translator, found):
    coarse = Coarse("code_points", sorted(DIGITS))
    joined = Translator(translator.model, translator.source_tokenizer, coarse, translator.search, MAX_LENGTH)
    num_filled_up = 0
    lists = joined.hypotheses(TEXTS, with_attention=True)
    for text, plain, hypotheses in zip(TEXTS, found, lists, strict=True):
        texts = [re.sub("[0-9]", "9", x.text) for x in plain]
        if text:  # those of an empty text are all empty
            different = list(dict.fromkeys(texts))
            texts = [x.text for x in hypotheses]
            assert texts[: len(different)] == different and len(set(texts)) == len(texts)
            num_filled_up += len(texts) > len(different)
        assert [x.text for x in hypotheses] == texts
        for x in hypotheses:
            assert re.sub("[0-9]", "9", "".join(x.target_pieces).replace("</s>", "")) == x.text
            assert x.attention.shape[2] == len(x.target_pieces)
    assert num_filled_up > 1
    signature = tf.function(joined.n_best, [tf.TensorSpec([None], tf.string)], autograph=False)
    for hypotheses, *row in zip(lists, *(x.numpy() for x in signature(tf.constant(TEXTS))), strict=True):
        in_a_graph = [text.decode() for text, score in zip(*row, strict=True) if np.isfinite(score)]
        assert in_a_graph == [x.text for x in hypotheses]


def test_as_many_targets_as_sources_are_scored(translator):
    for targets in ([], ["7"], ["7"] * 3):
        with pytest.raises(tf.errors.InvalidArgumentError, match="source and target must have the same num"):
            translator.score(tf.constant(["5", "7"]), tf.constant(targets, tf.string))


def test_a_translator_says_what_it_is(translator, run):
    text = repr(translator)
    assert text.startswith("Translator(Transformer, ") and " parameters; " in text
    assert "source and" in text and f"BeamSearch(max_length={MAX_LENGTH}" in text
    assert text.endswith(f"run_folder={str(run)!r})") and "\n" not in text


def test_no_texts_have_no_translations(translator):
    assert translator.hypotheses([]) == [] and translator.translate([]) == []


def test_an_empty_text_has_an_empty_translation_of_probability_one(found):
    assert [(hypothesis.text, hypothesis.score) for hypothesis in found[TEXTS.index("")]] == [
        ("", 0.0)
    ] * N_BEST


def test_a_long_text_is_cut_and_invalid_utf_8_is_read(translator):
    long, cut = translator.translate(["7 " * 5000, "7 " * 6])  # 12 bytes and the end
    assert long == cut
    broken, replaced = translator.translate([b"\xff 7", "\ufffd 7"])
    assert broken == replaced


def test_every_translation_begins_with_its_prefix(translator, found):
    prefixes = ["20", "7", "1999-0", "", "0" * (MAX_LENGTH - 1), "-", "31"]
    begun = translator.hypotheses(TEXTS, 3, prefixes=prefixes)
    for text, prefix, hypotheses in zip(TEXTS, prefixes, begun, strict=True):
        assert len(hypotheses) >= 1
        assert all(hypothesis.text.startswith(prefix if text else "") for hypothesis in hypotheses)
    same([begun[3]], [found[3]])  # no prefix: as without
    own = [hypotheses[0].text[:2] for hypotheses in found]
    again = translator.hypotheses(TEXTS, prefixes=own)
    assert [hypotheses[0].text for hypotheses in again] == [hypotheses[0].text for hypotheses in found]


@pytest.mark.parametrize(
    ("prefixes", "message"),
    [
        (["7"], "one prefix for each text. Received: 7 texts, 1 prefixes."),
        (["Mai"] * 7, "what the target tokenizer knows. Received: 'Mai'."),
        (
            ["7" * MAX_LENGTH] * 7,
            "shorter than `max_length`, 13 pieces. Received: 13 pieces, '7777777777777'.",
        ),
    ],
)
def test_a_prefix_that_cannot_be_is_refused(translator, prefixes, message):
    with pytest.raises(ValueError, match=message):
        translator.hypotheses(TEXTS, prefixes=prefixes)


def test_attention_has_a_row_for_each_target_piece_and_a_column_for_each_source_piece(translator, found):
    for text, hypotheses in zip(TEXTS, found, strict=True):
        size = min(len(text.encode()), MAX_LENGTH - 1) + 1
        for hypothesis in hypotheses if text else ():
            assert len(hypothesis.source_pieces) == size and hypothesis.source_pieces[-1] == "</s>"
            assert [piece for piece in hypothesis.target_pieces if piece != "</s>"] == list(hypothesis.text)
            length = len(hypothesis.target_pieces)
            assert hypothesis.attention.shape == (NUM_LAYERS, NUM_HEADS, length, size)
            np.testing.assert_allclose(hypothesis.attention.sum(axis=-1), 1, atol=1e-5)
            aligned = hypothesis.alignment()
            assert aligned == hypothesis.attention.mean(axis=(0, 1)).argmax(axis=-1).tolist()
            assert hypothesis.alignment(1, 0) == hypothesis.attention[1, 0].argmax(axis=-1).tolist()
            assert (
                hypothesis.alignment(head=-1) == hypothesis.attention[:, -1].mean(axis=0).argmax(-1).tolist()
            )


def test_attention_alone_is_that_in_a_batch(translator, found):
    best = found[2][0]
    source, target, attention = translator.attention(TEXTS[2])
    assert (source, target) == (best.source_pieces, best.target_pieces)
    np.testing.assert_allclose(attention, best.attention, atol=1e-5)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_align_gives_the_same_attention_padded(translator, found, is_compiled, monkeypatch):
    searches = []

    def compiled(*arguments):
        searches.append(arguments)
        return decoding.generate_n_best(*arguments)

    if is_compiled:
        monkeypatch.setattr(
            translator, "compiled", lambda model, inputs, search, seed: compiled(model, inputs, search)
        )
    aligned = translator.align(tf.constant([TEXTS[2], TEXTS[0]]), layer=1)
    assert len(searches) == is_compiled
    for row, index in enumerate((2, 0)):
        best = found[index][0]
        assert aligned["translation"][row].numpy().decode() == best.text
        for side in ("source", "target"):
            pieces = [piece.decode() for piece in aligned[f"{side}_tokens"][row].numpy() if piece]
            assert pieces == getattr(best, f"{side}_pieces")
        target_size, source_size = best.attention.shape[2:]
        weights = aligned["attention"][row].numpy()
        np.testing.assert_allclose(
            weights[:target_size, :source_size], best.attention[1].mean(axis=0), atol=1e-5
        )
        assert not weights[target_size:].any() and not weights[:, source_size:].any()


def test_the_score_of_a_translation_is_that_of_its_search(translator, found):
    ended = [
        (text, hypothesis)
        for text, hypotheses in zip(TEXTS, found, strict=True)
        for hypothesis in hypotheses
        if text and hypothesis.target_pieces[-1] == "</s>"  # not cut
    ]
    assert len(ended) >= 6
    by_token, sums = translator.score(
        tf.constant([text for text, _ in ended]), tf.constant([hypothesis.text for _, hypothesis in ended])
    )
    np.testing.assert_allclose(sums, [hypothesis.score for _, hypothesis in ended], atol=1e-4)
    for row, (_, hypothesis) in zip(by_token.numpy(), ended, strict=True):
        assert np.count_nonzero(row) == len(hypothesis.target_pieces)


def test_an_ensemble_of_a_run_with_itself_is_the_run(run, translator, found):
    twice = Translator.from_run(run, translator.search, others=[run])
    same(twice.hypotheses(TEXTS), found)
    assert len(twice.tf_variables) == 2 * len(translator.tf_variables)


def test_other_tokenizers_are_refused(run, tmp_path):
    # As many pieces, and others.
    other = tiny_runs.make(tmp_path / "other", characters=DIGITS.replace("-", "/"))
    with pytest.raises(
        ValueError, match="same tokenizers. Received: .*other, whose tokenizers are not those"
    ):
        Translator.from_run(run, others=[other])


@pytest.mark.parametrize("part", ["config.yaml", "model.keras", "tokenizer/target"])
def test_a_folder_without_a_part_is_refused(run, tmp_path, part):
    for name in {"config.yaml", "model.keras", "tokenizer/source", "tokenizer/target"} - {part}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(run / name)
    with pytest.raises(ValueError, match=f"holds .* Received: {tmp_path}, with(out {part}| neither)"):
        Translator.from_run(tmp_path)


def test_any_checkpoint_can_be_loaded_and_an_ensemble_is_neither_of_its_models(run, translator, tmp_path):
    other = tiny_runs.make(tmp_path / "other", seed=4)
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "model.keras").unlink()  # a training that has not ended has none
    (folder / "checkpoints").mkdir()
    shutil.copy(other / "model.keras", folder / "checkpoints" / "epoch-00001.keras")
    second = Translator.from_run(folder, checkpoint="epoch-00001.keras")
    others_weights = load_model(other / "model.keras").get_weights()
    for found, expected in zip(second.model.get_weights(), others_weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    pair = (tf.constant(TEXTS[:1]), tf.constant(["2031"]))
    one, two = translator.score(*pair)[0].numpy(), second.score(*pair)[0].numpy()
    assert np.abs(one - two).max() > 1e-2
    both = Translator.from_run(folder, others=[run], checkpoint="epoch-00001.keras")  # of the first alone
    expected = np.log((np.exp(one) + np.exp(two)) / 2)
    np.testing.assert_allclose(both.score(*pair)[0], expected, atol=1e-4)
    with pytest.raises(ValueError, match="epoch-00001.keras. Received: checkpoint='epoch-00002.keras'"):
        Translator.from_run(folder, checkpoint="epoch-00002.keras")


def test_a_search_may_be_made_for_the_length_of_the_training_data(run):
    assert Translator.from_run(run).search == decoding.BeamSearch(MAX_LENGTH)
    assert Translator.from_run(run, decoding.Greedy).search == decoding.Greedy(MAX_LENGTH)
    search = replace(decoding.Greedy(MAX_LENGTH), max_length=5)
    assert Translator.from_run(run, search).search.max_length == 5


def test_batches_hold_each_text_once_the_longest_first():
    texts = ["aa", "a", "aaaa", "", "aaa"]
    assert list(batches(texts, 2)) == [[2, 4], [0, 1], [3]]
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer. Received: batch_size=0."):
        list(batches(texts, 0))


def test_hypotheses_that_were_not_found_are_left_out():
    row = {"texts": np.array([b"a", b""]), "scores": np.array([-1.0, -np.inf])}
    assert read(row) == [Hypothesis("a", -1.0)]
    assert read({**row, "scores": np.array([-np.inf] * 2)}) == [Hypothesis("", float("-inf"))]
