"""Replays of recorded runs: the agent again, against the recorded model replies and the recorded feedback."""
