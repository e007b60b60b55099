"""Where networks come from: one adapter a file."""
