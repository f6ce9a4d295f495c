"""Running a submitted policy again: in a fresh container, by the host, against what the agent handed in."""
