"""Drives the OpenHands SDK inside the container; ``run.py`` is run by the image's own Python, by its path."""
