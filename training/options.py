"""Options that several commands have."""


def add_run(parser) -> None:
    """Adds the run and the runs that help it."""
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument(
        "--ensemble",
        type=str,
        action="append",
        default=[],
        metavar="RUN",
        help="further run folder with the same tokenizers, whose predictions are averaged with the run's; "
        "may be given several times",
    )


def add_data(parser, default: str | None) -> None:
    """Adds the split of the run's data, and where the data lies."""
    parser.add_argument(
        "--data", type=str, default=default, help="split of the run's data: train, validation or test"
    )
    parser.add_argument("--data_dir", type=str, help="folder with the data; as in training if absent")


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
