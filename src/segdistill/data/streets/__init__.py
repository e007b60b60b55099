"""Street scenes drawn by a program."""
