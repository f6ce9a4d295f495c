"""Worker processes: where training, scoring and signals are computed, away from the harness's own process."""
