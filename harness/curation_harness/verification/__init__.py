"""``harness verify``: whether a record is what it says it is, from its files alone; nothing is written.

Each check holds something against something else: files against their list and that list against the root digest,
names against contents, events against the order they can come in, the ledger's entries against what was paid for,
scores against item results, item results against what the model said. The first thing that does not fit is named.
"""
