"""Lets `pytest --inventory FILE` name a file outside the tree.

pytest looks for its configuration beside everything that looks like a path, before it knows
our options, and would take FILE's folder for the project. It does not mistake
`--inventory=FILE` for a path, so pytest is called again, in this process, with the command line in
that form.

This is the only module of Hale that is installed as a plugin; pytest.ini and conftest.py load the
others.
"""

import os
import shlex
import sys
from collections.abc import Generator

import pytest

from hale.paths import ROOT

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

# Without its terminal, pytest refuses options of pytest.ini. Without its configuration it ends in a
# traceback, on the command line before any plugin is loaded.
OF_PYTEST = ("pytestconfig", "terminal")
AUDIT = "hale.pytest_plugin.plugin"  # conftest.py loads it
_GROUPS = frozenset({"all", "masters", "workers"})


def join_option_values(arguments: list[str]) -> list[str]:
    """The command line with `--option value` of PATH_OPTIONS as `--option=value`."""
    found: list[str] = []
    rest = iter(arguments)
    for word in rest:
        value = next(rest, None) if word in PATH_OPTIONS else None
        found.append(word if value is None else f"{word}={value}")
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: before output is captured
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    for name in filter(early_config.pluginmanager.is_blocked, OF_PYTEST):
        if early_config.rootpath.resolve() == ROOT.resolve():
            raise pytest.UsageError(f"-p no:{name}: an audit needs it; leave the option out.")
    if early_config.pluginmanager.is_blocked(AUDIT):
        raise pytest.UsageError(f"-p no:{AUDIT}: nothing is audited without it; leave it out.")
    typed = list(early_config.invocation_params.args)
    better = join_option_values(typed)
    try:
        always = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    except ValueError:
        always = []  # pytest itself reports the error
    changed = better != typed or join_option_values(always) != always
    if changed and sys.argv[1:] == typed:  # not for pytest.main() inside a program
        if always:
            os.environ["PYTEST_ADDOPTS"] = shlex.join(join_option_values(always))
        raise SystemExit(pytest.main(better))
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Reject `--hosts=all` and groups outside the tree: testinfra takes them for host names."""
    given = getattr(config.option, "hosts", None) or ""
    words = {word.removeprefix("!") for word in given.split(",")}
    if words & _GROUPS and not config.pluginmanager.hasplugin(AUDIT):
        raise pytest.UsageError(
            f"--hosts={given} audits in Hale's tree, and {config.rootpath} is not it. "
            f"Go to {ROOT}, or type: pytest {ROOT / 'checks'} --hosts={given}"
        )
