"""The speed comparisons: `make bench`, or `python -m bench`."""
