"""What is said where the packages of the commands are not installed."""

import contextlib

OUR_OWN = ("keras_transformer", "serving", "command_line")


@contextlib.contextmanager
def needed():
    """Names the extra to install in the place of a package that is missing; decorates functions as well.

    Raises:
        ValueError: a package of another project cannot be imported.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OUR_OWN:
            raise
        raise ValueError(
            'The commands of serving/ need packages of their own; in a clone: pip install ".[serving]". '
            f"Received: {error}."
        ) from error
