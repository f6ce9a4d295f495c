"""The audit: which pairs of a pool show a picture of an evaluation set. They are counted and stay; see docs/audit.md.

``pool.audit_pool`` compares a whole pool once, when a task's files are made.
"""
