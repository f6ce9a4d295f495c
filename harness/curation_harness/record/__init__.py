"""The run record: the folder from which report, resume and rerun read everything they know."""
