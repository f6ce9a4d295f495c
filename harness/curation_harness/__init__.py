"""The command, the run loop, the record and the report."""
