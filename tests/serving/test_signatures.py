"""The signatures: their names and shapes, and that each answers what the translator answers.

Legend: B texts, N hypotheses, S source pieces, T target pieces, L longest translation.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import prediction_log_pb2

from command_line.search_options import SearchOptions
from keras_transformer import decoding, models, tokenizers
from keras_transformer.pipelines import translator_signatures as signatures
from keras_transformer.pipelines.translator import Translator
from keras_transformer.special_ids import END_ID, PAD_ID
from serving import export, manifest, saved_model
from serving.limits import Limits

from .conftest import MAX_LENGTH, NUM_RESULTS, QUESTIONS, REQUESTS, ask, plain, same

INPUTS, ALL = dict(REQUESTS), [name for name, _ in REQUESTS]
BATCH, ROW = [None], [None, None]
SHAPES = {
    "translate": ({"text": (BATCH, "string")}, {"translation": (BATCH, "string")}),
    "translate_nbest": (
        {"text": (BATCH, "string")},
        {"translations": ([None, NUM_RESULTS], "string"), "scores": ([None, NUM_RESULTS], "float32")},
    ),
    "score": (
        {"source": (BATCH, "string"), "target": (BATCH, "string")},
        {"log_prob": (BATCH, "float32"), "token_log_probs": (ROW, "float32")},
    ),
    "align": (
        {"text": (BATCH, "string")},
        {
            "translation": (BATCH, "string"),
            "source_tokens": (ROW, "string"),
            "target_tokens": (ROW, "string"),
            "attention": ([None, None, None], "float32"),
        },
    ),
    "tokens": (
        {"source_ids": (ROW, "int32")},
        {
            "target_ids": ([None, NUM_RESULTS, MAX_LENGTH], "int32"),
            "scores": ([None, NUM_RESULTS], "float32"),
        },
    ),
}
SHAPES["serving_default"] = SHAPES["translate"]


@pytest.fixture(scope="module")
def loaded(exported):
    """The exported signatures, loaded in this process."""
    model = tf.saved_model.load(str(exported))
    yield model.signatures
    del model


def described(specs):
    """{name: (shape, dtype)}"""
    return {name: (spec.shape.as_list(), spec.dtype.name) for name, spec in specs.items()}


def test_the_export_has_these_signatures_and_no_other(loaded):
    assert set(loaded) == set(SHAPES) == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_names_types_and_shapes(loaded, name):
    inputs, outputs = SHAPES[name]
    assert described(loaded[name].structured_input_signature[1]) == inputs
    assert described(loaded[name].structured_outputs) == outputs


def eagerly(translator, name, inputs):
    """What a signature must answer, by the translator's own functions and without a graph."""
    given = {
        key: tf.constant(value, tf.int32 if key == "source_ids" else tf.string)
        for key, value in inputs.items()
    }
    if name == "align":
        return plain(translator.align(**given))
    if name == "translate_nbest":
        return plain(dict(zip(("translations", "scores"), translator.n_best(**given), strict=True)))
    if name == "score":
        return plain(dict(zip(("token_log_probs", "log_prob"), translator.score(**given), strict=True)))
    if name == "tokens":
        return plain(dict(zip(("target_ids", "scores"), translator.tokens(**given), strict=True)))
    return plain({"translation": translator(given["text"])})


@pytest.mark.parametrize("name", ALL)
def test_the_export_a_graph_and_eager_execution_give_the_same_answer(translator, functions, loaded, name):
    expected = eagerly(translator, name, INPUTS[name])
    assert same([ask(functions[name], INPUTS[name]), ask(loaded[name], INPUTS[name])], [expected] * 2)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_gives_what_its_rows_give_alone(functions, name):
    together = ask(functions[name], INPUTS[name])
    for row in range(len(next(iter(INPUTS[name].values())))):
        alone = ask(functions[name], {key: value[row : row + 1] for key, value in INPUTS[name].items()})
        for key, (value,) in alone.items():
            batched, own = np.array(together[key][row]), tuple(slice(size) for size in np.shape(value))
            assert same([{key: batched[own].tolist()}], [{key: value}])
            # What a longer neighbour adds is padding.
            batched[own] = np.zeros_like(batched[own])
            assert set(batched.ravel().tolist()) <= {"", 0}


def test_an_empty_text_has_an_empty_translation(functions):
    assert ask(functions["translate"], {"text": ["", "5"]})["translation"][0] == ""
    answer = ask(functions["translate_nbest"], {"text": ["", "5"]})
    assert answer["translations"][0] == [""] * NUM_RESULTS and answer["scores"][0] == [0.0] * NUM_RESULTS
    assert ask(functions["align"], {"text": [""]})["translation"] == [""]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch_has_an_empty_answer(functions, name):
    inputs = {key: np.zeros((0, 3), "int32") if name == "tokens" else [] for key in INPUTS[name]}
    assert all(len(value) == 0 for value in ask(functions[name], inputs).values())


def test_a_text_that_is_too_long_is_cut(functions):
    short, long = ask(functions["translate"], {"text": ["1 " * 20, "1 " * 2000]})["translation"]
    assert short == long


def test_the_first_of_the_n_best_is_the_translation(functions):
    n_best = ask(functions["translate_nbest"], {"text": QUESTIONS})
    assert ask(functions["translate"], {"text": QUESTIONS})["translation"] == [
        row[0] for row in n_best["translations"]
    ]
    assert ask(functions["align"], {"text": QUESTIONS})["translation"] == [
        row[0] for row in n_best["translations"]
    ]
    assert len({row[1] for row in n_best["translations"]}) > 3, "no test if all are alike"


@pytest.mark.parametrize(
    "search, one",
    [
        (decoding.BeamSearch(7, width=4, n_best=3, alpha=1.0), decoding.BeamSearch(7, width=4, alpha=1.0)),
        (decoding.Sampling(7, num_samples=3, top_k=2), decoding.Sampling(7, top_k=2)),
        (decoding.Greedy(7), decoding.Greedy(7)),
    ],
)
def test_one_translation_is_searched_for_alone(search, one):
    assert signatures.single(search) == one


def test_the_first_sample_is_the_translation(run_folder):
    translator = Translator.from_run(run_folder, SearchOptions(temperature=1.0, n_best=3).search)
    best = Translator.from_run(run_folder, signatures.single(translator.search))
    texts = tf.constant(QUESTIONS)
    assert best(texts).numpy().tolist() == translator.n_best(texts)[0][:, 0].numpy().tolist()


@pytest.fixture(scope="module")
def sampled(run_folder):
    """Signatures of a translator that draws, with new draws for each request."""
    search = decoding.Sampling(MAX_LENGTH, temperature=2.0, num_samples=2, seed=None)
    return signatures.functions(Translator.from_run(run_folder, search), Limits())


def test_each_request_draws_anew_and_a_seed_repeats_it(sampled):
    assert set(sampled) == {*ALL, "translate_seeded"}
    asked = {"text": ["5", "5", "7"]}
    first, second = (ask(sampled["translate_nbest"], asked) for _ in range(2))
    assert first["translations"] != second["translations"]
    assert first["translations"][0] != first["translations"][1]
    answer = ask(sampled["translate_seeded"], asked | {"seed": [1, 2, 1]})
    # What stands beside a row, and what a server puts into the same batch, changes nothing.
    turned = ask(sampled["translate_seeded"], {"text": ["7", "5", "5", "5"], "seed": [1, 1, 2, 1]})
    order = [1, 2, 0, 3]
    for key, rows in answer.items():
        assert same([{key: [turned[key][row] for row in order]}], [{key: [*rows, rows[0]]}])
    assert answer["translations"][0] != answer["translations"][1]


def test_what_is_drawn_anew_is_not_verified(sampled):
    names = signatures.answers_alike(sampled, decoding.Sampling(7, seed=None))
    assert names == ["score", "translate_seeded"]
    assert signatures.answers_alike(sampled, decoding.Sampling(7, seed=1)) == list(sampled)
    assert signatures.answers_alike(sampled, decoding.Greedy(7)) == list(sampled)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_inputs_of_different_rows_are_refused_in_one_sentence_and_others_answered(loaded, sampled, data):
    several = [found for found in map(with_inputs, ({**sampled, **loaded}).values()) if len(found[1]) > 1]
    assert len(several) == 2
    function, specs = data.draw(st.sampled_from(several))
    values = {"string": st.text(max_size=5), "int32": st.integers(-(2**31), 2**31 - 1)}
    inputs = {key: data.draw(st.lists(values[spec.dtype.name], max_size=3)) for key, spec in specs.items()}
    counts = [len(rows) for rows in inputs.values()]
    if len(set(counts)) == 1:
        assert all(len(rows) == counts[0] for rows in ask(function, inputs).values())
        return
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        ask(function, inputs)
    assert " must have the same number of rows. Received:" in str(error.value)
    assert all(f"[{name}:] [{len(rows)}]" in str(error.value) for name, rows in inputs.items())


def with_inputs(function):
    """A signature, exported or not, and {input: its spec}."""
    if hasattr(function, "structured_input_signature"):
        return function, function.structured_input_signature[1]
    return function, {spec.name: spec for spec in function.input_signature}


def test_a_translation_scores_what_the_search_said(functions):
    answer = ask(functions["translate_nbest"], {"text": QUESTIONS})
    # A translation that was cut has no end token, which `score` adds; an empty text is no question.
    found = [
        (source, target, score)
        for source, *row in zip(QUESTIONS, answer["translations"], answer["scores"], strict=True)
        for target, score in zip(*row, strict=True)
        if source and len(target) < MAX_LENGTH
    ]
    assert len(found) > 3
    sources, targets, scores = (list(values) for values in zip(*found, strict=True))
    answer = ask(functions["score"], {"source": sources, "target": targets})
    np.testing.assert_allclose(answer["log_prob"], scores, atol=1e-3)
    by_token = np.array(answer["token_log_probs"])
    np.testing.assert_allclose(by_token.sum(axis=1), answer["log_prob"], atol=1e-5)
    assert [(row != 0).sum() for row in by_token] == [len(target) + 1 for target in targets]


def test_the_attention_has_a_row_for_each_target_token_and_a_column_for_each_source_token(functions):
    answer = ask(functions["align"], {"text": QUESTIONS})
    attention = np.array(answer["attention"])
    is_source, is_target = (np.array(answer[f"{side}_tokens"]) != "" for side in ("source", "target"))
    assert attention.shape == (len(QUESTIONS), is_target.shape[1], is_source.shape[1])
    assert is_source.any(axis=0).all() and is_target.any(axis=0).all(), "room that no row needs"
    np.testing.assert_allclose(attention.sum(axis=2), is_target, atol=1e-5)
    assert not attention[~(is_target[:, :, None] & is_source[:, None])].any()
    for translation, tokens in zip(answer["translation"], answer["target_tokens"], strict=True):
        assert (
            not translation or "".join(tokens).removesuffix("</s>").replace("<unk>", "\ufffd") == translation
        )


@pytest.mark.parametrize("layer, head", [(0, 1), (-1, None), (None, -2)])
def test_one_layer_and_head_can_be_asked_for(translator, layer, head):
    align = signatures.functions(translator, Limits(), layer, head)["align"].python_function
    answer = ask(align, {"text": ["March"]})
    _, _, weights = translator.attention("March")  # (layers, heads, T, S)
    expected = weights[0].mean(axis=0) if head is None else weights[0, head]
    np.testing.assert_allclose(answer["attention"][0], expected, atol=1e-5)


@pytest.mark.parametrize("layer, head, name", [(1, None, "layer"), (-2, 0, "layer"), (0, 2, "head")])
def test_a_layer_or_head_that_the_model_has_not_is_refused(translator, layer, head, name):
    wrong = {"layer": layer, "head": head}[name]
    with pytest.raises(ValueError, match=f"`{name}` must be .* from -. to .*Received: {name}={wrong}"):
        signatures.functions(translator, Limits(), layer, head)


def test_tokens_are_what_lies_between_the_two_tokenizers(translator, functions):
    texts = [text for text in QUESTIONS if text]
    source_ids = translator.source_ids(tf.constant(texts)).numpy()
    answer, expected = (
        ask(functions["tokens"], {"source_ids": source_ids}),
        ask(functions["translate_nbest"], {"text": texts}),
    )
    ids = np.array(answer["target_ids"]).reshape((-1, MAX_LENGTH))
    spelt = [text.decode("utf-8") for text in translator.target_tokenizer.detokenize(ids).numpy()]
    assert spelt == [text for row in expected["translations"] for text in row]
    np.testing.assert_allclose(answer["scores"], expected["scores"], atol=1e-5)


def test_where_hypotheses_are_missing_the_score_is_the_lowest_number():
    # One character and at most one token: unknown, end and "a" are all that there is.
    tokenizer = tokenizers.CharacterTokenizer("code_points", "a")
    model = models.Transformer(5, 5, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=7)
    model.build()
    search = decoding.BeamSearch(max_length=1, width=4, n_best=4)
    functions = signatures.functions(Translator(model, tokenizer, tokenizer, search, 5), Limits())
    for name, inputs in (("translate_nbest", {"text": ["aa"]}), ("tokens", {"source_ids": [[4, END_ID]]})):
        scores = ask(functions[name], inputs)["scores"][0]
        assert min(scores[:3]) > -100 and scores[3] == np.finfo("float32").min
    assert ask(functions["translate_nbest"], {"text": ["aa"]})["translations"][0][3] == ""
    assert ask(functions["tokens"], inputs)["target_ids"][0][3] == [PAD_ID]


def test_the_warm_up_asks_each_signature_for_a_batch_the_long_and_the_short(exported, loaded):
    asked = {name: [] for name in ALL}
    for record in tf.data.TFRecordDataset(str(exported / saved_model.WARM_UP_FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        answer = loaded[request.model_spec.signature_name](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        (batch_size,) = {len(value) for value in (*inputs.values(), *answer.values())}
        length = answer["source_tokens"].shape[1] if "source_tokens" in answer else None
        if "source_ids" in inputs:
            length = inputs["source_ids"].shape[1]
        asked[request.model_spec.signature_name].append((batch_size, length))
    assert {name: [size for size, _ in sizes] for name, sizes in asked.items()} == dict.fromkeys(
        ALL, [8, 1, 1]
    )
    # The longest fill the source: pieces and the end token.
    for name in ("align", "tokens"):
        *longest, short = (length for _, length in asked[name])
        assert short < MAX_LENGTH and longest == [MAX_LENGTH] * 2


def test_the_command_hands_on_its_options(monkeypatch):
    handed = []
    monkeypatch.setattr(export, "export", lambda *arguments: handed.extend(arguments))
    options = "--version 7 --beam 2 --n_best 2 --max_length 9 --ensemble b --layer 0 --head 1"
    options += " --checkpoint best --max_rows 5 --keep 3 --weights int8 --test_files d e"
    export.main(["--run", "a", "--output", "out", *options.split()])
    search, limits = SearchOptions(beam=2, n_best=2, max_length=9), Limits(max_rows=5)
    files = ["int8", ["d", "e"]]
    assert handed == ["a", "out", 7, search, ["b"], 0, 1, "best", limits, 3, *files, None]


@pytest.mark.slow
def test_the_command_hands_on_the_search_the_ensemble_and_the_attention(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "write_samples", lambda *_: None)
    common = ["--run", str(run_folder), "--output", str(tmp_path / "model"), "--max_length", "2"]
    export.main([*common, "--beam", "2", "--n_best", "2", "--ensemble", str(run_folder), "--layer", "0"])
    model = tf.saved_model.load(str(tmp_path / "model" / "1"))
    shape = model.signatures["tokens"].structured_outputs["target_ids"].shape
    assert shape.as_list() == [None, 2, 2]
    one = tf.train.list_variables(str(tmp_path / "model" / "1" / "variables" / "variables"))
    assert len(one) > len(Translator.from_run(run_folder).tf_variables) * 2
    with pytest.raises(ValueError, match="`layer` must be .*Received: layer=1"):
        export.main([*common, "--layer", "1"])
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["1"]
