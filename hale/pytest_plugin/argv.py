"""Lets `pytest --inventory FILE` name a file outside the tree.

pytest looks for its configuration beside everything that looks like a path, before it knows
our options, and would take FILE's folder for the project. `--inventory=FILE` is not mistaken
for a path; so a command line with the two words is started again with the one.

This is the only thing of Hale that is installed as a plugin; all else comes by conftest.py.
"""

import os
import shlex
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

PATH_OPTIONS = (
    "--inventory",
    "--evidence",
    "--reports",
    "--ssh-config",
    "--ssh-identity-file",
    "--ansible-inventory",
    "--html",
    "--css",
    "--junitxml",
    "--junit-xml",
    "--log-file",
)
ROOT = Path(__file__).resolve().parents[2]


def join_option_values(arguments: list[str]) -> list[str]:
    """The same command line with `--option value` of the options above in one word."""
    found: list[str] = []
    left = iter(arguments)
    for word in left:
        value = next(left, None) if word in PATH_OPTIONS else None
        found.append(word if value is None else f"{word}={value}")
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: before output is captured
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    typed = list(early_config.invocation_params.args)
    better = join_option_values(typed)
    try:
        always = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    except ValueError:
        always = []  # pytest itself says what is wrong with it
    changed = better != typed or join_option_values(always) != always
    if changed and sys.argv[1:] == typed:  # not for pytest.main() inside a program
        if always:
            os.environ["PYTEST_ADDOPTS"] = shlex.join(join_option_values(always))
        sys.stdout.flush()
        python = sys.orig_argv[: len(sys.orig_argv) - len(typed)]  # its own options too
        os.execv(sys.executable, [*python, *better])
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Elsewhere testinfra would take `all` for a host of that name."""
    words = (getattr(config.option, "hosts", None) or "").split(",")
    if "all" in words and not config.pluginmanager.hasplugin("hale.pytest_plugin.plugin"):
        raise pytest.UsageError(
            f"--hosts=all audits in Hale's tree, and {config.rootpath} is not it. "
            f"Go to {ROOT}, or type: pytest {ROOT / 'checks'} --hosts=all"
        )
