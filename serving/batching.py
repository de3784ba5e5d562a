"""How TF Serving may join the requests of several clients: `batching_params.pbtxt` in a version's folder.

A server reads it if it was started with `--enable_batching --enable_per_model_batching_parameters`. A model
without the file answers each request alone.
"""

FILE = "batching_params.pbtxt"
# Microseconds that a request waits for others, where a thread is free: little beside a search, and enough for
# clients that ask at once.
WAIT = 2000
# Batches that may wait; one more is refused at once, UNAVAILABLE.
QUEUE = 16

TEMPLATE = """\
# For a server with --enable_batching --enable_per_model_batching_parameters.
# No more than the model's max_rows, and no less: a request with more rows than this is refused.
max_batch_size {{ value: {max_rows} }}
batch_timeout_micros {{ value: {wait} }}
max_enqueued_batches {{ value: {queue} }}
# Padding repeats the first id of a request; the graph reads no id behind an end token.
pad_variable_length_inputs: true
"""
SPLITTING = """\
# XLA compiled no more rows than these. The graph fills batches up by itself: no allowed_batch_sizes.
enable_large_batch_splitting {{ value: true }}
max_execution_batch_size {{ value: {compiled} }}
"""


def parameters(inputs, facts) -> str | None:
    """The text of the file; None for a model whose requests must not be joined.

    Args:
        inputs: names of the inputs of all signatures.
        facts: what the manifest says of the model: limits, and of XLA.
    """
    max_rows = facts.get("limits", {}).get("max_rows")
    # One image that is broken would have all others of its batch refused.
    if max_rows is None or any(name.endswith("_bytes") for name in inputs):
        return None
    text = TEMPLATE.format(max_rows=max_rows, wait=WAIT, queue=QUEUE)
    compiled = facts.get("xla", {}).get("rows", [max_rows])[-1]
    return text if compiled == max_rows else text + SPLITTING.format(compiled=compiled)
