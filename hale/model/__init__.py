"""The data that all rooms share: requirements, verdicts, evidence, changes, results, errors."""
