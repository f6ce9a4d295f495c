"""Pools that come from elsewhere: where their parts are, and what becomes of them here."""
