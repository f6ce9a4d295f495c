"""The checks behind ``curation_plugins.testing``."""
