"""Data sets, one a file with its class table; the file has the name that recipes use."""
