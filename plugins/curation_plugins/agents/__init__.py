"""The built-in agents: a plugin each, and in ``programs`` what runs inside the container."""
