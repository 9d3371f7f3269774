"""Faults of real hosts, each with exactly the results that it changes."""
