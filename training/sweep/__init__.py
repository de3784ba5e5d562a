"""Sweeps: trainings of one configuration with other values, chosen by keras-tuner. See docs/tuning.md."""
