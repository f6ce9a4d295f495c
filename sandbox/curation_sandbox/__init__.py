"""What a container is, and the two sockets out of it. Knows no task, no trainer, no command line."""

__version__ = "0.1.0"
