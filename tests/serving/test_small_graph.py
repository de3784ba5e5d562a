"""What is left out of a saved_model.pb, and that it answers as before."""

import collections

import pytest
import tensorflow as tf
from tensorflow.core.framework import function_pb2

from serving import op_closure, small_graph


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A SavedModel with a loop and constants that repeat: the small one, the one before, and its function."""
    module, weights = tf.Module(), tf.Variable([2.0, 3.0])
    module.weights = weights

    @tf.function(autograph=False)
    def inner(x):
        return x * weights + 7.0 - 7.0 * tf.constant([1.0, 2.0])

    @tf.function(input_signature=[tf.TensorSpec([2], name="number")], autograph=False)
    def answer(number):
        total, _ = tf.while_loop(lambda x, i: i < 3, lambda x, i: (inner(x) + 7.0, i + 1), (number, 0))
        total = total + 7.0 + 7.0
        with tf.control_dependencies([tf.debugging.Assert(total[0] < 1e9, ["too large:", total])]):
            return {"total": tf.identity(total)}

    module.answer = answer
    folder = tmp_path_factory.mktemp("small") / "1"
    tf.saved_model.save(module, str(folder), {"serving_default": answer})
    before = op_closure.read(folder / "saved_model.pb")
    small_graph.rewrite(folder)
    return folder, before, answer


def functions(saved_model):
    return {f.signature.name: f for f in saved_model.meta_graphs[0].graph_def.library.function}


def test_it_answers_as_before_and_by_the_same_names(written):
    folder, _, answer = written
    expected = answer(tf.constant([1.0, 5.0]))["total"].numpy().tolist()
    loaded = tf.saved_model.load(str(folder))
    found = loaded.signatures["serving_default"](number=tf.constant([1.0, 5.0]))
    assert found["total"].numpy().tolist() == expected
    assert loaded.answer(number=tf.constant([1.0, 5.0]))["total"].numpy().tolist() == expected
    with pytest.raises(tf.errors.InvalidArgumentError, match="too large"):
        loaded.answer(tf.constant([1e9, 0.0]))


def test_equal_constants_of_a_function_are_one_and_there_are_no_notes(written):
    folder, before, _ = written
    after = functions(op_closure.read(folder / "saved_model.pb"))
    assert after.keys() == functions(before).keys()
    for name, old in functions(before).items():
        nodes = after[name].node_def
        values = [node.attr["value"].SerializeToString() for node in nodes if node.op == "Const"]
        assert len(set(values)) == len(values)
        kinds, old_kinds = (
            collections.Counter(n.op for n in x if n.op != "Const") for x in (nodes, old.node_def)
        )
        assert kinds == old_kinds
        assert not any("_output_shapes" in node.attr for node in nodes)
        assert max((len(node.name) for node in nodes), default=0) < 4


def test_the_fingerprint_is_that_of_the_new_file(written):
    fingerprint = tf.saved_model.experimental.read_fingerprint(str(written[0]))
    small_graph.rewrite(written[0])  # again: nothing is left to do
    assert tf.saved_model.experimental.read_fingerprint(str(written[0])) == fingerprint


def test_a_colocation_names_the_operation_that_it_named():
    function = function_pb2.FunctionDef()
    function.node_def.add(name="layer/where", op="NoOp")
    function.node_def.add(name="layer/what", op="NoOp").attr["_class"].list.s.append(b"loc:@layer/where")
    small_graph.make_small(function)
    where, what = function.node_def
    assert list(what.attr["_class"].list.s) == [f"loc:@{where.name}".encode()]
