"""What the submit socket is answered with: submissions are taken in or refused, signals and cards are handed out."""
