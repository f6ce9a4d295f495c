"""The selection methods, and what each needs to run by itself."""
