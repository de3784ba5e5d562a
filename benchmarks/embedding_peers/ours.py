"""This project's embedder, of a run folder. Variants: "list", "xla", "calls": `embed` for each batch."""

import functools

from command_line import quiet

with quiet.start_up():
    from benchmarks.embedding_peers import child
    from benchmarks.training_peers.keras_training import limit_threads
    from keras_transformer import pipelines


def make(specification):
    limit_threads(specification["threads"])
    embed = pipelines.load(specification["run"]).embed
    if specification["variant"] == "xla":
        return functools.partial(embed, jit_compile=True)
    return child.one_by_one(embed) if specification["variant"] == "calls" else embed


if __name__ == "__main__":
    child.serve(make)
