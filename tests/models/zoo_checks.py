"""What every model that decodes passes beside `checks.STANDARD`, whatever it is made of.

    @pytest.mark.parametrize("check", zoo_checks.ALL)
    def test_zoo_checks(check):
        check(make, INPUTS)

`make()` returns a new model, `inputs` are the arguments of its `call`: "target_ids" (B, T), T at least 3,
padded at the end, and "source_ids" (B, S) or "image" (B, H, W, C) if it has a source. Vocabularies have 13
ids or more.
"""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_transformer import decoding, losses
from tests import checks

END = 3


def given(inputs):
    """What `decoding.generate` takes: the source, or prompts of padding alone."""
    source = {name: ops.convert_to_tensor(x) for name, x in inputs.items() if name != "target_ids"}
    return source or {"prompt_ids": ops.zeros_like(inputs["target_ids"][:, :1])}


def repeated(tree, times):
    return keras.tree.map_structure(lambda x: ops.repeat(x, times, axis=0), tree)


# Who sees whom


def changed_future_leaves_the_past(make, inputs):
    model = checks.shared(make, (inputs,))
    logits = checks.as_array(model(inputs))
    for t in range(logits.shape[1]):
        other = inputs["target_ids"].copy()
        other[:, t] = (other[:, t] + 5) % 12
        changed = checks.as_array(model({**inputs, "target_ids": other})) != logits
        assert not changed[:, :t].any()
        assert changed[:, t:].any(axis=-1)[:, 0].all()


def padding_does_not_matter(make, inputs):
    model = checks.shared(make, (inputs,))
    real = inputs["target_ids"] != 0
    assert not real.all()
    expected = checks.as_array(model(inputs))[real]
    for name in inputs.keys() - {"image"}:
        longer = {**inputs, name: np.pad(inputs[name], [(0, 0), (0, 2)])}
        actual = checks.as_array(model(longer))[:, : real.shape[1]][real]
        np.testing.assert_allclose(actual, expected, atol=1e-5, err_msg=name)


def rows_of_a_batch_do_not_meet(make, inputs):
    model, names = checks.shared(make, (inputs,)), list(inputs)
    checks.batch_invariance(
        lambda *ids: model(dict(zip(names, ids, strict=True))), *(inputs[name] for name in names)
    )


# Step by step


def step_by_step_equals_one_pass(make, inputs):
    model = checks.shared(make, (inputs,))
    ids = np.where(inputs["target_ids"] == 0, 11, inputs["target_ids"])
    state = model.initial_state(given(inputs), max_length=ids.shape[1])
    state = {name: state[name] for name in ("source", "target")}

    def step(tokens, state, index):
        logits, state = model.decode_step(tokens, state, index)
        return logits, {name: state[name] for name in ("source", "target")}

    expected = model({**inputs, "target_ids": ids})
    checks.cached_equals_uncached(expected, step, state, list(ids.T))


def a_step_keeps_the_dtypes_of_its_state(make, inputs):
    for policy in checks.POLICIES:
        model = checks.shared(make, (inputs,), dtype=policy)
        state = model.initial_state(given(inputs), max_length=3)
        before = [leaf.dtype for leaf in keras.tree.flatten(state["target"])]
        logits, state = model.decode_step(ops.convert_to_tensor(inputs["target_ids"][:, 0]), state, 0)
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"
        assert [leaf.dtype for leaf in keras.tree.flatten(state["target"])] == before


def room_that_grows_changes_nothing(make, inputs):
    model = checks.shared(make, (inputs,))
    ids = np.where(inputs["target_ids"] == 0, 11, inputs["target_ids"])
    state = model.initial_state(given(inputs), max_length=1)
    expected = checks.as_array(model({**inputs, "target_ids": ids}))
    for index, tokens in enumerate(ids.T):
        state = {**state, "target": model.grow(state["target"], index + 1)}
        logits, state = model.decode_step(ops.convert_to_tensor(tokens), state, index)
        np.testing.assert_allclose(checks.as_array(logits), expected[:, index], atol=1e-5)


def hypotheses_share_the_source_and_nothing_else(make, inputs):
    model = checks.shared(make, (inputs,))
    ids = np.where(inputs["target_ids"] == 0, 11, inputs["target_ids"])
    others = (ids + 3) % 12 + 1
    state = model.initial_state(given(inputs), max_length=ids.shape[1])
    state = {"source": state["source"], "target": repeated(state["target"], 2)}
    expected = [checks.as_array(model({**inputs, "target_ids": x})) for x in (ids, others)]
    for index in range(ids.shape[1]):
        tokens = np.stack([ids[:, index], others[:, index]], axis=1).reshape(-1)
        logits, state = model.decode_step(ops.convert_to_tensor(tokens.astype("int32")), state, index)
        for number in range(2):
            actual = checks.as_array(logits)[number::2]
            np.testing.assert_allclose(actual, expected[number][:, index], atol=1e-5)


# Searches


def greedy_search_is_the_argmax_of_full_passes(make, inputs):
    model, length = checks.shared(make, (inputs,)), 5
    found, scores = map(checks.as_array, decoding.generate(model, given(inputs), decoding.Greedy(length)))
    ids = np.zeros((len(found), length + 1), "int32")
    ids[:, 0] = 2
    for t in range(length):
        logits = checks.as_array(model({**inputs, "target_ids": ids[:, :-1]}))[:, t]
        logits[:, [0, 2]] = -np.inf  # padding and the start token are never chosen
        has_ended = (ids[:, 1:] == END).any(axis=1)
        ids[:, t + 1] = np.where(has_ended, 0, logits.argmax(axis=-1))
    np.testing.assert_array_equal(found, ids[:, 1:])
    source = {name: value for name, value in inputs.items() if name != "target_ids"}
    _, expected = decoding.score(model, source, found)
    np.testing.assert_allclose(scores, checks.as_array(expected), atol=1e-4)


def a_full_beam_finds_the_best_of_all_texts(make, inputs):
    model, row = checks.shared(make, (inputs,)), {name: ids[:1] for name, ids in inputs.items()}
    size = checks.as_array(model(row)).shape[-1]
    tokens = [token for token in range(size) if token not in (0, 2)]
    texts = [(END, 0)] + [text for text in itertools.product(tokens, tokens) if text[0] != END]
    source = {name: np.repeat(ids, len(texts), 0) for name, ids in row.items() if name != "target_ids"}
    log_probs = checks.as_array(decoding.score(model, source, np.array(texts))[1])
    ranks = log_probs / ((5 + np.array([np.count_nonzero(text) for text in texts])) / 6) ** 0.6
    best = np.argsort(-ranks)[:3]
    search = decoding.BeamSearch(2, width=len(texts), n_best=3)
    ids, scores = map(checks.as_array, decoding.generate_n_best(model, given(row), search))
    np.testing.assert_array_equal(ids[0], np.array(texts)[best])
    np.testing.assert_allclose(scores[0], log_probs[best], atol=1e-4)


def a_search_gives_the_same_eagerly_in_a_graph_and_on_xla(make, inputs):
    model, search = checks.shared(make, (inputs,)), decoding.Greedy(5)
    asked = given(inputs)
    expected = checks.as_array(decoding.generate(model, asked, search)[0])
    # Each traced for itself: a state is written in place in a plain graph, which XLA could not compile.
    for xla in (False, True):
        ids, _ = checks.compiled(lambda asked: decoding.generate(model, asked, search), xla)(asked)
        np.testing.assert_array_equal(checks.as_array(ids), expected, err_msg=f"xla={xla}")


def a_search_can_be_exported(make, inputs):
    """With batch and length unknown, and of ops that need neither XLA nor Python."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are exported from TensorFlow")
    import tensorflow as tf

    model, search = checks.shared(make, (inputs,)), decoding.BeamSearch(5, width=2)
    asked = given(inputs)
    asked = {name: tf.cast(x, "int32") if "ids" in name else x for name, x in asked.items()}
    unknown = {name: tf.TensorSpec((None, None, *x.shape[2:]), x.dtype) for name, x in asked.items()}
    function = tf.function(
        lambda asked: decoding.generate(model, asked, search), input_signature=[unknown], autograph=False
    )
    graph = function.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    assert not [node.op for node in nodes if "xla" in node.op.lower() or "pyfunc" in node.op.lower()]
    expected, _ = decoding.generate(model, asked, search)
    np.testing.assert_array_equal(checks.as_array(function(asked)[0]), checks.as_array(expected))


ALL = (
    changed_future_leaves_the_past,
    padding_does_not_matter,
    rows_of_a_batch_do_not_meet,
    step_by_step_equals_one_pass,
    a_step_keeps_the_dtypes_of_its_state,
    room_that_grows_changes_nothing,
    hypotheses_share_the_source_and_nothing_else,
    greedy_search_is_the_argmax_of_full_passes,
    a_full_beam_finds_the_best_of_all_texts,
    a_search_gives_the_same_eagerly_in_a_graph_and_on_xla,
    a_search_can_be_exported,
)


# A second or more for each model.
LONG = (
    checks.eager_equals_graph_equals_xla,
    greedy_search_is_the_argmax_of_full_passes,
    a_full_beam_finds_the_best_of_all_texts,
    a_search_gives_the_same_eagerly_in_a_graph_and_on_xla,
    a_search_can_be_exported,
)


def each(all_checks, first, *others):
    """Marks a test of `check` and `make`: of one variant all checks, of the others the long ones are slow."""
    cases = []
    for make in (first, *others):
        for check in all_checks:
            marks = [pytest.mark.slow] if check in LONG and make is not first else []
            cases.append(pytest.param(check, make, marks=marks, id=f"{check.__name__}-{make.__name__}"))
    return pytest.mark.parametrize(("check", "make"), cases)


def learns(model, inputs, labels, epochs, below, rate=0.01):
    """Trains on one batch, and asserts what the loss has come to."""
    loss = losses.SmoothedCrossEntropy()
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss, jit_compile=False)
    history = model.fit(inputs, labels, batch_size=len(labels), epochs=epochs, shuffle=False, verbose=0)
    found = history.history["loss"]
    assert found[-1] < below < found[0] / 2, f"{found[0]} -> {found[-1]}"
