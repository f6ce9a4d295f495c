"""A task for the tests of curation-harness, packaged as a stranger's plugin would be."""
