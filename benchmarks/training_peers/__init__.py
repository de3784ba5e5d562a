"""The training steps that `benchmarks.train_step` compares: programs, run in environments of their own."""
