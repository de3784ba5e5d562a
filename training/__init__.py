"""Programs that make a model: python -m training.train | evaluate | translate."""
