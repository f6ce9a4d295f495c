"""What is measured of a task without an agent: references, noise, the signals that ship with a pool."""
