"""What a training run can be told: typed, each field with its unit and purpose.

A file in `configs/` sets fields, a command-line option overrides one: --model.num_layers 4. Nothing here
imports TensorFlow, so that `--help` and a misspelt key answer at once. What all runs have is in
`training.run_config`, what belongs to a task in its room of `training.tasks`.
"""

from training.config.ranges import check, check_value
from training.config.reading import config_class, from_mapping, kind_of, parse, read
from training.tasks import KINDS

__all__ = ["KINDS", "check", "check_value", "config_class", "from_mapping", "kind_of", "parse", "read"]
