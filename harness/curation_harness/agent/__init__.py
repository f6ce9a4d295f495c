"""The agent's part of a run: its container and sockets, its line to the model, turn after turn until it is over."""
