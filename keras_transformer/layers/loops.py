"""Whether a step of decoding is traced, and for whom: what is fast in one kind of loop is slow in another."""

import keras


def in_loop(compiled: bool) -> bool:
    """Whether this is the body of a loop in a TensorFlow graph.

    Args:
        compiled: of one that XLA compiles; else of one that TensorFlow runs itself.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util, control_flow_util_v2  # no public names

    graph = tf.compat.v1.get_default_graph()
    if control_flow_util.GraphOrParentsInXlaContext(graph) != compiled:
        return False
    while graph is not None and not control_flow_util_v2.in_while_loop_defun(graph):
        graph = getattr(graph, "outer_graph", None)
    return graph is not None
