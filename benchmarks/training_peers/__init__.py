"""The training steps that `benchmarks.train_step` compares: one program each, run in an environment of its own."""
