"""Audits by pytest: options, fixtures, one test item per case."""
