"""The built-in scaffolds."""
