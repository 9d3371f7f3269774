"""Lets `pytest --inventory FILE` name a file outside the tree.

pytest looks for its configuration beside everything that looks like a path, before it knows
our options, and would take FILE's folder for the project. `--inventory=FILE` is not mistaken
for a path; so a command line with the two words is started again with the one.

This is the only thing of Hale that is installed as a plugin; all else comes by conftest.py.
"""

import os
import sys
from collections.abc import Generator

import pytest

SEPARATED = ("--inventory", "--evidence", "--reports", "--ssh-config", "--ssh-identity-file")


def joined(arguments: list[str]) -> list[str]:
    """The same command line with `--option value` of the options above in one word."""
    found: list[str] = []
    left = iter(arguments)
    for word in left:
        value = next(left, None) if word in SEPARATED else None
        found.append(word if value is None else f"{word}={value}")
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: before output is captured
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    typed = list(early_config.invocation_params.args)
    better = joined(typed)
    if better != typed and sys.argv[1:] == typed:  # not for pytest.main() inside a program
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *better])
    return (yield)
