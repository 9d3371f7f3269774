"""Checks of the source that no other tool makes; `make lint` runs them."""
