"""Loads standard/ and finds each requirement's subject in facts/."""
