"""Files: models, checkpoints, the small files of a run folder."""
