"""Bringing files here: from the Hugging Face hub and from web servers, by revision and hash, and resumable."""
