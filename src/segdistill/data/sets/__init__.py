"""Data sets, one a file with its class table."""
