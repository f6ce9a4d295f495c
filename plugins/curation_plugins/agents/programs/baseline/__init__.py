"""The program of the agent ``baseline``: tries one published selection method per iteration.

Runs inside the container as ``python3 -P -m baseline``; there it is a package of its own, and needs
NumPy, PyArrow and Pillow, and the command ``curate``.
"""
