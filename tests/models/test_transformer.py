"""The Transformer: parameter counts of the paper, the whole formula, masks, decoding, training."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, losses, metrics, models, schedules
from tests import checks, reference

B, S, T, D = 3, 7, 5, 6
SOURCE_VOCABULARY, VOCABULARY = 13, 17
SOURCE_IDS = np.array([[5, 9, 12, 4, 4, 7, 3], [8, 3, 0, 0, 0, 0, 0], [6, 7, 1, 3, 0, 0, 0]], "int32")
TARGET_IDS = np.array([[2, 16, 4, 9, 5], [2, 7, 8, 0, 0], [2, 11, 0, 0, 0]], "int32")
INPUTS = {"source_ids": SOURCE_IDS, "target_ids": TARGET_IDS}
SIZES = {"num_layers": 1, "hidden_dim": D, "num_heads": 2, "intermediate_dim": 11}


def small(**kwargs):
    return models.Transformer(SOURCE_VOCABULARY, VOCABULARY, **{**SIZES, **kwargs})


def small_other(**kwargs):
    """The other choice wherever there is one."""
    options = {"norm_first": True, "share_embeddings": True, "max_length": 11, "key_dim": 5}
    return models.Transformer(
        VOCABULARY, VOCABULARY, **{**SIZES, **options, "activation": "gelu", **kwargs}
    )


both = pytest.mark.parametrize("make", [small, small_other])


def inputs_of(source_ids, target_ids=TARGET_IDS):
    return {"source_ids": source_ids, "target_ids": target_ids}


@both
@pytest.mark.parametrize("check", checks.STANDARD)
def test_standard_checks(check, make, tmp_path):
    check(make, (INPUTS,), tmp_path)


# Sizes

JOINT_VOCABULARY = 37_000
TABLE_3 = {  # row: (changes to a preset, parameters in millions as printed)
    "base": ({}, 65),
    "2 layers": ({"num_layers": 2}, 36),
    "4 layers": ({"num_layers": 4}, 50),
    "8 layers": ({"num_layers": 8}, 80),
    "d_model 256, d_k 32": ({"hidden_dim": 256, "key_dim": 32}, 28),
    "d_model 1024, d_k 128": ({"hidden_dim": 1024, "key_dim": 128}, 168),
    "d_ff 1024": ({"intermediate_dim": 1024}, 53),
    "d_ff 4096": ({"intermediate_dim": 4096}, 90),
    "big": ({}, 213),
}
# Counted by hand from the formulas of the paper with 37,000 joint pieces, biases included.
WITH_37_000 = {
    "base": 63_082_496,
    "2 layers": 33_656_832,
    "4 layers": 48_369_664,
    "8 layers": 77_795_328,
    "d_model 256, d_k 32": 26_834_944,
    "d_model 1024, d_k 128": 163_889_152,
    "d_ff 1024": 50_487_296,
    "d_ff 4096": 88_272_896,
    "big": 214_245_376,
}


def table_3_model(row, vocabulary):
    changes, _ = TABLE_3[row]
    preset = "transformer_big" if row == "big" else "transformer_base"
    return models.Transformer.from_preset(preset, vocabulary, vocabulary, **changes)


def without_memory(make):
    """Parameters of a built model whose variables are never filled: 214 million in 0.2 s."""
    try:
        with keras.StatelessScope(initialize_variables=False):
            model = make()
            model.build()
            return model.count_params()
    finally:
        keras.utils.clear_session(free_memory=False)  # forget the unfilled variables


def formula(model, separate_source=False):
    """The same count from the paper's formulas."""
    d, f, n = model.hidden_dim, model.intermediate_dim, model.num_layers
    inner = model.num_heads * (model.key_dim or d // model.num_heads)
    attention = 3 * (d * inner + inner) + inner * d + d
    network = d * f + f + f * d + d
    norm = 2 * d
    encoder = n * (attention + network + 2 * norm)
    decoder = n * (2 * attention + network + 3 * norm)
    final_norms = 2 * norm if model.norm_first else 0
    vocabulary = model.target_vocabulary_size
    vocabulary += model.source_vocabulary_size if separate_source else 0
    positions = 2 * d * (model.max_length or 0)
    return vocabulary * d + positions + encoder + decoder + final_norms


@pytest.mark.parametrize("row", TABLE_3)
def test_parameters_of_table_3(row):
    count = without_memory(lambda: table_3_model(row, JOINT_VOCABULARY))
    assert count == WITH_37_000[row]
    assert count == formula(table_3_model(row, JOINT_VOCABULARY))


def vocabularies_that_agree(row):
    """First and last vocabulary size with which our count, in millions, rounds to the printed one."""
    _, printed = TABLE_3[row]
    model = table_3_model(row, JOINT_VOCABULARY)
    rest = WITH_37_000[row] - JOINT_VOCABULARY * model.hidden_dim
    low, high = (printed * 10**6 + half - rest for half in (-500_000, 500_000))
    return -(-low // model.hidden_dim), -(-high // model.hidden_dim) - 1


def test_table_3_was_not_made_with_one_vocabulary():
    # The paper says "about 37,000" pieces. With exactly that, no row agrees to the million; eight
    # rows agree with any size from 40,932 to 41,160, and "big" needs one from 35,296 to 36,272.
    intervals = {row: vocabularies_that_agree(row) for row in TABLE_3}
    assert not any(low <= JOINT_VOCABULARY <= high for low, high in intervals.values())
    low, high = zip(*(intervals[row] for row in TABLE_3 if row != "big"), strict=True)
    assert (max(low), min(high)) == (40_932, 41_160)
    assert intervals["big"] == (35_296, 36_272)


@pytest.mark.parametrize("row", TABLE_3)
def test_parameters_agree_with_table_3_to_the_million_with_the_right_vocabulary(row):
    vocabulary = 36_000 if row == "big" else 41_000
    assert round(formula(table_3_model(row, vocabulary)) / 1e6) == TABLE_3[row][1]


@pytest.mark.parametrize("row", TABLE_3)
def test_parameters_with_the_vocabulary_of_the_paper_are_within_seven_percent(row):
    printed = TABLE_3[row][1] * 1e6
    assert abs(WITH_37_000[row] - printed) / printed < 0.07


@both
def test_formula_counts_the_parameters_that_exist(make):
    model = checks.built(lambda: make(num_layers=2), (INPUTS,))
    # Weight by weight: a matrix that is shared counts once.
    sizes = {id(w): int(np.prod(w.shape)) for w in model.weights}
    assert sum(sizes.values()) == formula(model, separate_source=make is small)


def test_presets_are_the_published_sizes():
    sizes = {
        name: (p["num_layers"], p["hidden_dim"], p["num_heads"], p["intermediate_dim"])
        for name, p in models.Transformer.presets.items()
    }
    assert sizes == {
        "transformer_tiny": (4, 128, 4, 256),
        "transformer_base": (6, 512, 8, 2048),
        "transformer_big": (6, 1024, 16, 4096),
    }


def test_preset_with_changes():
    model = models.Transformer.from_preset("transformer_tiny", 13, 13, num_layers=1, dropout=0.0)
    assert (model.num_layers, model.hidden_dim, model.dropout) == (1, 128, 0.0)
    assert model.share_embeddings
    separate = models.Transformer.from_preset("transformer_tiny", 13, 17, share_embeddings=False)
    assert separate.source_vocabulary_size == 13 and separate.target_vocabulary_size == 17


# The formula


def embedded(model, ids, vectors):
    positions = reference.sinusoid(range(ids.shape[1]), D)
    return vectors[ids].astype("float64") * D**0.5 + positions


def test_model_equals_the_reference():
    model = checks.built(lambda: small(num_layers=2), (INPUTS,))
    source_vectors, target_vectors = (
        next(w.numpy() for w in model.weights if w.shape[0] == size and len(w.shape) == 2)
        for size in (SOURCE_VOCABULARY, VOCABULARY)
    )
    source_mask = (SOURCE_IDS != 0)[:, None, None, :]
    memory = embedded(model, SOURCE_IDS, source_vectors)
    for layer in model.encoder.layers:
        memory = reference.encoder_layer(reference.sublayer_weights(layer), memory, source_mask)
    hidden = embedded(model, TARGET_IDS, target_vectors)
    for layer in model.decoder.layers:
        hidden = reference.decoder_layer(
            reference.sublayer_weights(layer), hidden, memory, memory_mask=source_mask
        )
    expected = hidden @ target_vectors.T
    actual = checks.as_array(model(INPUTS))
    real = TARGET_IDS != 0
    np.testing.assert_allclose(actual[real], expected[real], atol=1e-4)


@both
def test_call_is_decode_of_encode(make):
    model = checks.built(make, (INPUTS,))
    memory = model.encode(SOURCE_IDS)
    assert tuple(memory.shape) == (B, S, D)
    logits = model.decode(TARGET_IDS, memory, SOURCE_IDS != 0)
    assert tuple(logits.shape) == (B, T, VOCABULARY)
    np.testing.assert_allclose(checks.as_array(logits), checks.as_array(model(INPUTS)), atol=1e-5)


def test_shared_embeddings_are_one_matrix():
    model = checks.built(small_other, (INPUTS,))
    matrices = [w for w in model.weights if tuple(w.shape) == (VOCABULARY, D)]
    assert len(matrices) == 1
    separate = checks.built(lambda: small_other(share_embeddings=False), (INPUTS,))
    assert len([w for w in separate.weights if tuple(w.shape) == (VOCABULARY, D)]) == 2


def test_dropout_acts_in_training_only():
    model = checks.built(lambda: small(dropout=0.5), (INPUTS,))
    plain = checks.as_array(checks.built(lambda: small(dropout=0.0), (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), plain, atol=1e-6)
    first, second = (checks.as_array(model(INPUTS, training=True)) for _ in range(2))
    assert np.abs(first - plain).max() > 1e-2
    assert np.abs(first - second).max() > 1e-2


def test_global_policy_reaches_every_layer():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small()
        logits = model(INPUTS)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    with_weights = [layer for layer in model._flatten_layers() if layer.weights]
    assert {layer.compute_dtype for layer in with_weights} == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


# Who sees whom


@both
def test_future_tokens_do_not_change_the_past(make):
    # The logit of an unused id depends on the vectors of the other ids through the inputs alone: its
    # gradient shows which target positions it saw.
    model = checks.built(make, (INPUTS,))
    ids, unused = np.array([[2, 16, 4, 9, 5]], "int32"), 14
    inputs = inputs_of(np.array([[10, 11]], "int32"), ids)
    (place,) = [
        i for i, w in enumerate(model.trainable_weights) if tuple(w.shape) == (VOCABULARY, D)
    ]
    for t in range(T):
        probe = np.zeros((1, T, VOCABULARY), "float32")
        probe[0, t, unused] = 1.0
        gradient = checks.as_array(checks.weight_gradients(model, (inputs,), probe)[place])
        seen = np.any(gradient[ids[0]] != 0, axis=-1)
        np.testing.assert_array_equal(seen, np.arange(T) <= t)


@both
def test_changed_future_leaves_the_logits_of_the_past(make):
    model = checks.built(make, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for t in range(T):
        other = TARGET_IDS.copy()
        other[:, t] = 13
        changed = checks.as_array(model(inputs_of(SOURCE_IDS, other))) != logits
        assert not changed[:, :t].any()
        assert changed[:, t:].any(axis=-1).all()


@both
def test_padding_of_the_source_does_not_matter(make):
    model = checks.built(make, (INPUTS,))
    longer = np.pad(SOURCE_IDS, [(0, 0), (0, 3)])
    expected = checks.as_array(model(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(inputs_of(longer))), expected, atol=1e-5)


@both
def test_padding_of_the_target_does_not_matter(make):
    model = checks.built(make, (INPUTS,))
    longer = np.pad(TARGET_IDS, [(0, 0), (0, 3)])
    actual = checks.as_array(model(inputs_of(SOURCE_IDS, longer)))[:, :T]
    real = TARGET_IDS != 0
    np.testing.assert_allclose(actual[real], checks.as_array(model(INPUTS))[real], atol=1e-5)


@both
def test_every_real_source_token_matters(make):
    model = checks.built(make, (INPUTS,))
    logits = checks.as_array(model(INPUTS))
    for s in range(S):
        other = SOURCE_IDS.copy()
        other[:, s] = np.where(other[:, s] == 0, 0, 10)
        changed = np.any(checks.as_array(model(inputs_of(other))) != logits, axis=-1)
        np.testing.assert_array_equal(changed, np.tile(SOURCE_IDS[:, s : s + 1] != 0, (1, T)))


@both
def test_rows_of_a_batch_do_not_meet(make):
    model = checks.built(make, (INPUTS,))
    checks.batch_invariance(
        lambda source, target: model(inputs_of(source, target)), SOURCE_IDS, TARGET_IDS
    )


@both
def test_order_of_the_source_matters(make):
    model = checks.built(make, (INPUTS,))
    swapped = SOURCE_IDS[:, [1, 0, *range(2, S)]]
    difference = checks.as_array(model(inputs_of(swapped))) - checks.as_array(model(INPUTS))
    assert np.abs(difference[0]).max() > 1e-3


def test_source_and_target_are_not_swapped():
    model = checks.built(small, (INPUTS,))
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=3)
    logits, _ = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    assert tuple(logits.shape) == (B, VOCABULARY)
    top_source_id = np.full((1, S), SOURCE_VOCABULARY - 1, "int32")
    top_target_id = np.full((1, T), VOCABULARY - 1, "int32")
    assert tuple(model(inputs_of(top_source_id, top_target_id)).shape) == (1, T, VOCABULARY)


# Training

def compiled_model(run_eagerly=False):
    model = small(dropout=0.0)
    model.compile(
        optimizer=keras.optimizers.Adam(
            schedules.TransformerSchedule(hidden_dim=D, warmup_steps=10), 0.9, 0.98, 1e-9
        ),
        loss=losses.SmoothedCrossEntropy(label_smoothing=0.1),
        metrics=[metrics.Perplexity(), metrics.TokenAccuracy()],
        run_eagerly=run_eagerly,
    )
    return model


LABELS = np.array([[16, 4, 9, 5, 3], [7, 8, 3, 0, 0], [11, 3, 0, 0, 0]], "int32")


@pytest.fixture(scope="module")
def trained():
    """A model that knows three sentences by heart, of three lengths, and the history of its training."""
    keras.utils.set_random_seed(1)
    model = compiled_model()
    history = model.fit(INPUTS, LABELS, batch_size=B, epochs=100, verbose=0).history
    return model, history


def test_fit_learns_three_sentences_by_heart(trained):
    model, history = trained
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["token_accuracy"][-1] == 1.0
    assert history["perplexity"][-1] < 2 < 10 < history["perplexity"][0]
    ids, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(max_length=T))
    np.testing.assert_array_equal(checks.as_array(ids), LABELS)


def test_fit_and_evaluate_agree_on_the_loss():
    model = compiled_model(run_eagerly=True)
    logs = model.evaluate(INPUTS, LABELS, batch_size=B, return_dict=True, verbose=0)
    logits = checks.as_array(model(INPUTS))
    _, loss = reference.smoothed_cross_entropy(LABELS, logits, 0.1)
    _, plain = reference.smoothed_cross_entropy(LABELS, logits)
    assert logs["loss"] == pytest.approx(loss, rel=1e-5)
    assert logs["perplexity"] == pytest.approx(np.exp(plain), rel=1e-5)


def test_training_goes_on_after_saving_in_the_middle(tmp_path):
    model = compiled_model(run_eagerly=True)
    for _ in range(2):
        model.train_on_batch(INPUTS, LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 2
    for _ in range(2):
        before = model.train_on_batch(INPUTS, LABELS, return_dict=True)
        after = loaded.train_on_batch(INPUTS, LABELS, return_dict=True)
        assert after["loss"] == pytest.approx(before["loss"], rel=1e-6)
    for mine, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), atol=1e-6, err_msg=mine.path)


# Decoding


@both
def test_step_by_step_equals_one_pass(make):
    model = checks.built(make, (INPUTS,))
    ids = np.array([[2, 16, 4, 9, 5], [2, 7, 8, 3, 3], [2, 11, 4, 4, 4]], "int32")
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=9)
    steps = [ids[:, t] for t in range(T)]
    expected = model(inputs_of(SOURCE_IDS, ids))
    checks.cached_equals_uncached(expected, model.decode_step, state, steps)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_step_in_half_precision_keeps_its_state_and_float32_logits(policy):
    model = checks.built(small, (INPUTS,), dtype=policy)
    state = model.initial_state({"source_ids": ops.convert_to_tensor(SOURCE_IDS)}, max_length=5)
    before = [leaf.dtype for leaf in keras.tree.flatten(state)]
    logits, state = model.decode_step(ops.convert_to_tensor([2, 2, 2]), state, 0)
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    assert [leaf.dtype for leaf in keras.tree.flatten(state)] == before


def greedy_by_hand(model, source_ids, max_length):
    """Greedy search with one full pass for each token."""
    ids = np.full((len(source_ids), 1), 2, "int32")
    for _ in range(max_length):
        logits = checks.as_array(model(inputs_of(source_ids, ids)))[:, -1]
        ids = np.concatenate([ids, logits.argmax(axis=-1)[:, None].astype("int32")], axis=1)
    ids = ids[:, 1:]
    ended_before = np.cumsum(ids == 3, axis=1) - (ids == 3) > 0
    return np.where(ended_before, 0, ids)


def test_generate_is_the_argmax_of_full_passes(trained):
    model, _ = trained
    expected = greedy_by_hand(model, SOURCE_IDS, 6)
    ids, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(6))
    np.testing.assert_array_equal(checks.as_array(ids), expected)


def test_scores_are_the_log_probabilities_of_a_full_pass(trained):
    model, _ = trained
    ids, scores = decoding.generate(model, {"source_ids": SOURCE_IDS}, decoding.Greedy(6))
    ids = checks.as_array(ids)
    target_ids = np.pad(ids[:, :-1], [(0, 0), (1, 0)], constant_values=2)
    values, _ = reference.smoothed_cross_entropy(
        ids, checks.as_array(model(inputs_of(SOURCE_IDS, target_ids)))
    )
    expected = -np.where(ids != 0, values, 0).sum(axis=1)
    np.testing.assert_allclose(checks.as_array(scores), expected, atol=1e-4)


def test_generate_is_the_same_in_any_batch_and_with_any_padding(trained):
    (model, _), search = trained, decoding.Greedy(6)
    ids, scores = map(checks.as_array, decoding.generate(model, {"source_ids": SOURCE_IDS}, search))
    for row, length in enumerate((SOURCE_IDS != 0).sum(axis=1)):
        alone = {"source_ids": SOURCE_IDS[row : row + 1, :length]}
        alone_ids, alone_scores = map(checks.as_array, decoding.generate(model, alone, search))
        np.testing.assert_array_equal(alone_ids[0], ids[row])
        np.testing.assert_allclose(alone_scores[0], scores[row], atol=1e-5)


@pytest.mark.parametrize("xla", [False, True])
def test_generate_gives_the_same_tokens_in_a_graph(trained, xla):
    (model, _), search = trained, decoding.Greedy(6)
    expected, _ = decoding.generate(model, {"source_ids": SOURCE_IDS}, search)
    function = checks.compiled(
        lambda source: decoding.generate(model, {"source_ids": source}, search), xla
    )
    ids, _ = function(ops.convert_to_tensor(SOURCE_IDS))
    np.testing.assert_array_equal(checks.as_array(ids), checks.as_array(expected))


# Bad input


def test_hidden_dim_is_a_multiple_of_the_heads():
    with pytest.raises(ValueError, match="multiple of `num_heads`.*hidden_dim=6, num_heads=4"):
        small(num_heads=4)
    small(num_heads=4, key_dim=3)


def test_shared_embeddings_need_one_vocabulary():
    match = "source_vocabulary_size=13, target_vocabulary_size=17"
    with pytest.raises(ValueError, match=match):
        small(share_embeddings=True)
    with pytest.raises(ValueError, match=match):
        models.Transformer.from_preset("transformer_tiny", 13, 17)


@pytest.mark.parametrize("name", ["source_vocabulary_size", "target_vocabulary_size", *SIZES])
def test_sizes_are_positive(name):
    sizes = {"source_vocabulary_size": 13, "target_vocabulary_size": 17, **SIZES, name: 0}
    with pytest.raises(ValueError, match=f"`{name.removeprefix('source_').removeprefix('target_')}`"):
        models.Transformer(**sizes).build()


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ValueError, match="transformer_base.*'transformer_bsae'"):
        models.Transformer.from_preset("transformer_bsae", 13, 13)


@pytest.mark.parametrize("name, wrong", [("source_ids", 13), ("target_ids", 17), ("source_ids", -1)])
def test_ids_outside_the_vocabulary_are_refused(name, wrong):
    model = checks.built(small, (INPUTS,))
    ids = INPUTS[name].copy()
    ids[0, 1] = wrong
    with pytest.raises(ValueError, match=f"{wrong}"):
        model({**INPUTS, name: ids})


def test_more_tokens_than_learned_positions_are_refused():
    model = checks.built(lambda: small(max_length=7), (INPUTS,))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model(inputs_of(np.ones((1, 8), "int32"), TARGET_IDS[:1]))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model(inputs_of(SOURCE_IDS[:1], np.ones((1, 8), "int32")))
    with pytest.raises(ValueError, match="7 positions.*8"):
        model.initial_state({"source_ids": SOURCE_IDS}, max_length=8)


@both
def test_model_is_built_without_data(make):
    model = make()
    model.build()
    checks.randomized(model)
    expected = checks.as_array(checks.built(make, (INPUTS,))(INPUTS))
    np.testing.assert_allclose(checks.as_array(model(INPUTS)), expected, atol=1e-6)
