"""One module for each group of `tenge` commands: it presents what a headless call returns."""
