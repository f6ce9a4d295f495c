"""What runs leave on a machine, and what removes it."""
