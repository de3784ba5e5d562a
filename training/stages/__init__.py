"""The stages of a training; each takes what the one before made. `training.fitting` is the line of them."""
