"""Observations that only an installation needs: packages, images, nodes, leftovers."""
