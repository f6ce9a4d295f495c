"""The host's work on what was accepted: train, evaluate, tell; and in the end the headline. Meanwhile the agent's
clock stands still."""
