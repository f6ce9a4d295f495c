"""The audit: which rows hold what a benchmark asks. See docs/audit.md for the rules and what they find.

``pool.audit_pool`` compares a whole pool once, when a task's files are made; ``records.audit_records`` compares rows
that were handed in.
"""
