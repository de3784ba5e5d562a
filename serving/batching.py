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
# A request with more rows than this is refused.
max_batch_size {{ value: {most} }}
batch_timeout_micros {{ value: {wait} }}
max_enqueued_batches {{ value: {queue} }}
# Padding repeats the first id of a request; the graph reads no id behind an end token.
pad_variable_length_inputs: true
# Never true: the parts of a request are put together without a look at their widths, which may differ.
enable_large_batch_splitting {{ value: false }}
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
    compiled = facts.get("xla", {}).get("rows", [])
    # Larger batches would go through the plain graph.
    text = TEMPLATE.format(most=compiled[-1] if compiled else max_rows, wait=WAIT, queue=QUEUE)
    return text + "".join(f"allowed_batch_sizes: {rows}\n" for rows in compiled)
