"""Options that several commands have."""


def add_batch_size(parser, default: int) -> None:
    """Adds the number of texts that go through the model together; see `check_batch_size`."""
    parser.add_argument(
        "--batch_size", type=int, default=default, help="texts at a time; fewer take less memory"
    )


def check_batch_size(options) -> None:
    """Raises ValueError unless the batch size is positive, before anything is loaded."""
    if options.batch_size < 1:
        raise ValueError(
            f"`batch_size` must be a positive integer. Received: batch_size={options.batch_size}."
        )
