"""pytest's options for an audit; and the logins, which begin before pytest has read them all.

pytest.ini names this plugin, so it is there before any conftest.py and any other plugin that is
installed. Little is imported here: what else an audit needs is imported while the hosts let us
in (hale/pytest_plugin/plugin.py).
"""

import argparse
import contextlib
import os
import shlex
import sys
from functools import cache
from typing import Any, NoReturn

import pytest
import testinfra.plugin

from hale import ssh
from hale.model.errors import UserError
from hale.model.requirement import PROFILES, current_profile
from hale.paths import ROOT
from hale.ssh import preconnect


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    _options(parser)
    config = pluginmanager.get_plugin("pytestconfig")
    if isinstance(config, pytest.Config):
        _parse_early(config)


@cache  # the options are parsed twice
def _profile(typed: str) -> str:
    """A profile by its name, or by the one that it had in earlier releases."""
    name = current_profile(typed)
    if name != typed:
        print(
            f"--profile={typed} is now called --profile={name}; the old name will be removed in "
            "the next release.",
            file=sys.stderr,
        )
    return name


def _options(parser: Any) -> None:
    group = parser.getgroup("hale", "audit of Kubernetes hosts (with --hosts)")
    group.addoption(
        "--inventory",
        metavar="FILE",
        help="inventory in Ansible's INI format (default: inventory.ini at the top of the tree)",
    )
    group.addoption(
        "--profile",
        type=_profile,
        choices=PROFILES,
        default=PROFILES[0],
        help="baseline: the published guide's requirements (default); extended: beyond them, "
        "further causes of cluster failures",
    )
    group.addoption(
        "--evidence",
        metavar="FILE",
        help="judge a run's evidence.json again; no host is contacted",
    )
    group.addoption(
        "--reports",
        metavar="DIR",
        default=str(ROOT / "reports"),
        help="where each run makes its folder (default: reports/)",
    )
    group.addoption(
        "--connect-timeout",
        metavar="SECONDS",
        type=seconds,
        default=5.0,
        help="how long a host may take to let us in (default: 5)",
    )
    group.addoption(
        "--gather-timeout",
        metavar="SECONDS",
        type=seconds,
        default=60.0,
        help="how long a host may take to answer everything (default: 60)",
    )
    group.addoption(
        "--ask-become-pass",
        action="store_true",
        help="ask once for the password that sudo wants on the hosts",
    )


def seconds(text: str) -> float:
    found = float(text)
    if not 0 < found < float("inf"):
        raise ValueError
    return found


def contacts_hosts(option: Any) -> bool:
    """Whether pytest was started to run tests on hosts, and not to tell something."""
    telling = ("collectonly", "help", "version", "markers", "evidence")
    return not any(getattr(option, name) for name in telling)


def _preconnect(config: pytest.Config, option: Any) -> None:
    """Begin to log in. What is wrong with the words is said later, where all is looked at."""
    if (
        not getattr(option, "hosts", None)
        or option.ask_become_pass
        or not contacts_hosts(option)
        or "PYTEST_XDIST_WORKER" in os.environ  # the controller has asked all that there is to ask
        or config.rootpath.resolve() != ROOT.resolve()
    ):
        return
    with contextlib.suppress(UserError):
        preconnect.preconnect_for_options(option)


class _EarlyParser(argparse.ArgumentParser):
    """Reads the options of testinfra and ours, which pytest does after all plugins are there."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        testinfra.plugin.pytest_addoption(self)  # type: ignore[arg-type]
        _options(self)

    def getgroup(self, name: str, description: str = "") -> "_EarlyParser":
        return self

    addoption = argparse.ArgumentParser.add_argument

    def error(self, message: str) -> NoReturn:
        raise UserError(message)  # pytest says it in a moment


EARLY_OPTIONS = pytest.StashKey[argparse.Namespace]()


def _parse_early(config: pytest.Config) -> None:
    """Begin to log in while pytest looks for plugins, which takes as long as ssh's first steps."""
    typed = [
        *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
        *config.getini("addopts"),
        *config.invocation_params.args,
    ]
    with contextlib.suppress(UserError):
        known = argparse.Namespace(**vars(config.known_args_namespace))
        option, _ = _EarlyParser().parse_known_args(typed, known)
        config.stash[EARLY_OPTIONS] = option
        _preconnect(config, option)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin to log in, unless that is begun; anew where pytest has read other words than we."""
    option = early_config.known_args_namespace
    early = early_config.stash.get(EARLY_OPTIONS, None)
    # With `-p no:testinfra` pytest knows no --hosts.
    if early is None or any(
        getattr(early, n) != getattr(option, n, None) for n in preconnect.OPTIONS
    ):
        ssh.close_sessions()
        _preconnect(early_config, option)
