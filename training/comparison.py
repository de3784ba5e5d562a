"""Other systems to compare a run with: other runs, and files of translations."""

from pathlib import Path


def read_others(names, num_sources: int, search) -> dict:
    """Reads everything that is compared with, so that errors come before minutes of translation.

    Args:
        names: of the evaluated system; then run folders, and files with one translation a line.
        num_sources: number of sources that were translated.
        search: for the runs, see `Translator.from_run`.

    Returns:
        For each name but the first the lines of the file, or the run's `Translator`.

    Raises:
        ValueError: a name occurs twice, a folder is no run folder, or a file has another number of lines.
        FileNotFoundError: there is no such file.
    """
    from keras_transformer.pipelines.translator import Translator
    from training.datasets import parallel_text

    others = {}
    for name in names[1:]:
        if name in (names[0], *others):
            raise ValueError(f"`against` must name another system each time. Received: {name} twice.")
        if Path(name).is_dir():
            others[name] = Translator.from_run(name, search)
            continue
        others[name] = list(parallel_text.read_lines(name))
        if len(others[name]) != num_sources:
            raise ValueError(
                "A file of translations must have one line for each source. "
                f"Received: {name} with {len(others[name]):,} lines for {num_sources:,} sources."
            )
    return others


def translate(others: dict, sources) -> dict:
    """The translations of each system that `read_others` read, {name: list of str}."""
    return {
        name: other if isinstance(other, list) else other.translate(sources) for name, other in others.items()
    }


def as_lines(compared) -> list[str]:
    """Lines of text for a list of `quality.Compared`."""
    found, width = [], max((len(row.system) for row in compared), default=0)
    for row in compared:
        if row.p_value is None:  # the first system of a measure
            found += ["", f"{row.name}, with mean and 95 % interval of paired bootstrap  {row.signature}"]
        figures = f"{row.value:6.2f}  {row.mean:6.2f} +- {row.margin:.2f}"
        p_value = "" if row.p_value is None else f"  p = {row.p_value:.4f}"
        found.append(f"  {row.system:{width}}  {figures}{p_value}")
    return found
