"""Models, pools and benchmark files that are fetched, as data, and how they become a task's files."""
