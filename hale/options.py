"""pytest's options for an audit; and the logins, which begin as soon as the options are read.

pytest.ini names this plugin, so it is there before any conftest.py. Little is imported here: what
else an audit needs is imported while the hosts let us in (hale/plugin.py).
"""

import contextlib
import os
from typing import Any

import pytest

from hale import logins
from hale.errors import HaleError
from hale.provenance import ROOT
from hale.standard import PROFILES


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hale", "audit of Kubernetes hosts (with --hosts)")
    group.addoption(
        "--inventory",
        metavar="FILE",
        help="inventory in Ansible's INI format (default: inventory.ini at the top of the tree)",
    )
    group.addoption(
        "--profile",
        choices=PROFILES,
        default=PROFILES[0],
        help="document: what the document says (default); extended: what clusters die of besides",
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


def logs_in(option: Any) -> bool:
    """Whether pytest was started to run tests on hosts, and not to tell something."""
    telling = ("collectonly", "help", "version", "markers", "evidence")
    return not any(getattr(option, name) for name in telling)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin to log in. What is wrong with the words is said later, where all is looked at."""
    option = early_config.known_args_namespace
    if (
        not getattr(option, "hosts", None)
        or option.ask_become_pass
        or not logs_in(option)
        or "PYTEST_XDIST_WORKER" in os.environ  # the controller has asked all that there is to ask
        or early_config.rootpath.resolve() != ROOT.resolve()
    ):
        return
    with contextlib.suppress(HaleError):
        logins.dial(option)
