"""What `serving.export --xla` adds: a search that XLA compiles for a few shapes, see `CompiledSearch`.

A stock TF Serving compiles nothing on a CPU unless it was started with `SERVER_FLAG`.
"""

import dataclasses
import time
from typing import Self

SERVER_FLAG = "--xla_cpu_compilation_enabled"
ROWS = [1, 8, 32]
LENGTH = 32  # tokens; and the longest text that the model reads


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The shapes that are compiled: all of these rows with all of these lengths.

    Args:
        xla_rows: rows of a request, ascending; those of `ROWS` that a request may have if None.
        xla_lengths: tokens of its longest text, ascending; `LENGTH` and the longest of all if None.
    """

    xla_rows: list[int] | None = None
    xla_lengths: list[int] | None = None

    @classmethod
    def read(cls, options) -> Self | None:
        """From the parsed options of a command; None without --xla."""
        given = {name: options[name] for name in ("xla_rows", "xla_lengths")}
        if not options.xla and given != {"xla_rows": None, "xla_lengths": None}:
            raise ValueError(f"`xla_rows` and `xla_lengths` are of `xla`. Received: {given}, without --xla.")
        return cls(**given) if options.xla else None

    def put_into(self, pipeline, kind, max_rows) -> dict:
        """Lets XLA compile the search of a pipeline that is to be exported.

        Args:
            pipeline: what `from_run` returned.
            kind: of its model, for messages.
            max_rows: the most that a request may have.

        Returns:
            What the manifest says of it.

        Raises:
            ValueError: there is no search, or no request has such a shape.
        """
        from keras_transformer.pipelines.compiled_search import CompiledSearch

        if not pipeline.decodes:
            raise ValueError(f"`xla` compiles a search. Received: a model of the kind {kind}, without one.")
        rows, lengths, longest = self.xla_rows, self.xla_lengths, pipeline.most_ids
        if longest is None and lengths is not None:
            raise ValueError(f"`xla_lengths` are of texts. Received: {lengths}, for the kind {kind}.")
        if rows is None:
            rows = [count for count in ROWS if count <= max_rows]
        if lengths is None:
            lengths = [] if longest is None else sorted({min(LENGTH, longest), longest})
        elif longest is not None and not lengths:
            raise ValueError("`xla_lengths` must have a number of tokens at least. Received: none.")
        pipeline.compiled = CompiledSearch(rows, lengths)
        for name, sizes, most in (("xla_rows", rows, max_rows), ("xla_lengths", lengths, longest)):
            if sizes and sizes[-1] > most:
                raise ValueError(
                    f"`{name}` must be at most {most}: no request has more. Received: {sizes[-1]}."
                )
        if any(layer.compute_dtype != "float32" for layer in _models(pipeline.model)):
            print("note: XLA rounds half precision in other places: texts may differ from a plain export's")
        return {"xla": {"rows": rows, "lengths": lengths, "server_flag": SERVER_FLAG}}


def _models(model):
    return getattr(model, "models", [model])


def compile_all(functions, requests) -> str:
    """Asks what a server is warmed up with, and says what compiling takes.

    Args:
        functions: name of the signature -> function of named tensors.
        requests: (name of the signature, {input: array or list}).
    """
    import tensorflow as tf

    for function in functions.values():
        function.get_concrete_function()  # the graphs: they are no part of what a server waits for
    memory, start = _memory(), time.perf_counter()
    for name, inputs in requests:
        functions[name](**{key: tf.constant(value) for key, value in inputs.items()})
    seconds, more = time.perf_counter() - start, _memory() - memory
    return f"compiled and warmed up in {seconds:.0f} s, {more / 1e6:.0f} MB of memory more"


def _memory():
    """Most bytes that this process has had; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
