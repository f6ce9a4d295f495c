"""What a run's attempts did, read from its record: features, labels with evidence, flags, and what they come to.

``tries`` reads a record; everything after it is a pure function of what that gives. ``docs/diagnostics.md`` has the
definitions.
"""
