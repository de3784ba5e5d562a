"""What lies on disk: models, checkpoints, the small files of a run folder."""
