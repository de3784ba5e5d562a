"""Writes what a run attends to as one HTML page: python -m training.explore --run RUN TEXT --output page.html

The page shows all layers and heads, one of them large: as lines between words, as a heat map, and word by
word; encoder, decoder and cross-attention; and the search as a tree. For a captioner or a Vision Transformer
TEXT is the file of an image. --against shows another run beside it, which may have other tokens.

The page needs no network and no other file. Without a search option beam search has 4 hypotheses; a language
model writes up to 20 tokens more unless --max_length says otherwise.
"""

from pathlib import Path
from typing import Any

import command_line
from command_line import lines, quiet
from command_line.search_options import ABOUT_A_SOURCE, SearchOptions
from training import run_folder, tasks

# Tokens that a language model writes behind a text.
MORE = 20


def main(arguments=None) -> None:
    """Reads the command line and writes a page."""
    parser = command_line.parser("training.explore", __doc__)
    parser.add_argument("text", type=str, metavar="TEXT", help="a text, or the file of an image")
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument("--output", type=Path, required=True, help="file to write: *.html")
    parser.add_argument("--against", type=str, metavar="RUN", help="run folder to compare with")
    command_line.add_checkpoint(parser)
    parser.add_class_arguments(SearchOptions, as_group=False, skip=ABOUT_A_SOURCE)
    options = parser.parse_args(arguments)
    check_output(options.output)
    page = explored(
        options.run,
        lines.valid(options.text),
        options.against,
        options.checkpoint,
        SearchOptions.read(options),
    )
    page.save(options.output)
    print(f"page: {options.output}")


def check_output(path: Path) -> None:
    """Raises ValueError unless a page can be written there."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"`output` must be a file *.html. Received: {path}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"`output` must be a file in a folder that exists. Received: {path}.")


def show_attention(run, text, against=None, checkpoint=None, search=None) -> Any:
    """What a run attends to, as a page that a notebook shows.

    Args:
        run: a `Run`, a run folder, or what `pipelines.load` made of one.
        text: a text; of a captioner or a Vision Transformer the file of an image, or pixels, uint8 (H, W, C).
        against: another of these, to be shown beside it.
        checkpoint: of `run`: "best", "last" or a file in its checkpoints/; model.keras if None.
        search: {"beam": 8}, or other fields of `command_line.search_options.SearchOptions`; a pipeline has
            its own.

    Returns:
        `explorer.page.Page`: `weights`, `html`, `save(path)`.

    Raises:
        ValueError: a run has no attention, or the text is empty or no image.
    """
    return explored(run, text, against, checkpoint, SearchOptions(**search or {}))


def explored(run, text, against, checkpoint, search) -> Any:
    """See `show_attention`; `search` is `SearchOptions`."""
    if isinstance(text, str) and not text.strip():  # before a model is read
        raise ValueError(f"What is explored must be a text with a word. Received: {text!r}.")
    with quiet.start_up():
        from training.explorer.looking import look
        from training.explorer.page import Page
    runs = [(run, checkpoint)] if against is None else [(run, checkpoint), (against, None)]
    given = [(loaded(one, search, chosen), one) for one, chosen in runs]
    takes_images = {hasattr(pipeline, "image_shape") for pipeline, _ in given}
    if len(takes_images) > 1:
        raise ValueError(
            "Runs that are compared must both read texts, or both images. "
            f"Received: {' and '.join(type(pipeline).__name__ for pipeline, _ in given)}."
        )
    names = names_of([pipeline.run_folder or type(pipeline).__name__ for pipeline, _ in given])
    seen = []
    for (pipeline, source), name in zip(given, names, strict=True):
        content, shown = as_given(pipeline, text)
        if pipeline is not source and search.max_length is None:
            from training.explorer.looking import limited

            limited(pipeline, content, MORE)
        seen.append(look(pipeline, content, name, shown))
    return Page(seen)


def loaded(run, search, checkpoint) -> Any:
    """A pipeline: of a run with this search, or `run` itself."""
    from keras_transformer import pipelines
    from keras_transformer.pipelines.base import Pipeline

    if isinstance(run, Pipeline):
        if checkpoint is not None or search != SearchOptions():
            raise ValueError(
                "`checkpoint` and `search` are for run folders: a pipeline has its own. "
                f"Received: checkpoint={checkpoint!r}, {search}, for a {type(run).__name__}."
            )
        return run
    run = Path(run)
    kind = run_folder.load_config(run).model.kind
    tasks.of(kind)
    if pipelines.of(kind).decodes:
        return pipelines.load(run, search.search, checkpoint)
    if search != SearchOptions():
        raise ValueError(f"Search options are for what decodes. Received: {search}, for {run}.")
    return pipelines.load(run, checkpoint=checkpoint)


def as_given(pipeline, text) -> tuple[Any, str]:
    """What the pipeline is given, and what a page calls it."""
    if not hasattr(pipeline, "image_shape"):
        if not isinstance(text, str):
            raise ValueError(
                f"A {type(pipeline).__name__} must be given a text. Received: {type(text).__name__}."
            )
        return text, text
    import numpy as np

    from keras_transformer.pipelines.encoded_images import as_images
    from training.datasets.images import read_images

    if isinstance(text, str | Path):
        return read_images([Path(text)], pipeline.image_shape)[0], Path(text).name
    return as_images(np.asarray(text)[None], pipeline.image_shape)[0], "an image"


def names_of(folders) -> list[str]:
    """Names of run folders: the last part, or the whole where that is not enough."""
    short = [Path(folder).name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


if __name__ == "__main__":
    command_line.run(main)
