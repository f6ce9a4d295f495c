"""What a run came to, for a reader: a terminal view and one self-contained HTML file."""
