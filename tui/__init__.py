"""The terminal: the `tenge` command line."""
