"""What is installed beside the library: the packages of an extra, and a project of the same import name."""

import contextlib
import importlib.metadata
import warnings
from collections.abc import Iterator

# Ours. The import name as a distribution, keras-transformer, is another project's on the package index.
DISTRIBUTION = "keras-transformer-zoo"
NAMESAKE = "keras-transformer"


class MissingPackage(ModuleNotFoundError):
    """A package that an extra brings is not installed."""


@contextlib.contextmanager
def needs(extra: str) -> Iterator[None]:
    """Says which extra is missing if a package that is imported inside the block is not installed.

        with needs("plot"):
            from matplotlib.figure import Figure

    Args:
        extra: of setup.py.

    Raises:
        MissingPackage: in the place of `No module named ...`.
    """
    try:
        yield
    except MissingPackage:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise MissingPackage(
            f'The package {package} must be installed: pip install ".[{extra}]" in a clone. Received: none.',
            name=error.name,
        ) from None


def warn_of_namesake() -> None:
    """Warns if the other project is installed, too: each writes into the other's folder."""
    try:
        version = importlib.metadata.version(NAMESAKE)
    except importlib.metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"The distribution {NAMESAKE} {version} is another project with the import name keras_transformer: "
        f"it and {DISTRIBUTION} replace each other's files. pip uninstall {NAMESAKE}, then install this one "
        'again: pip install --force-reinstall --no-deps "." in a clone.',
        stacklevel=3,
    )
