"""pytest's options for an audit.

pytest.ini names this plugin, so its options are known before any conftest.py is read.
"""

import sys
from functools import cache
from typing import Any

import pytest

from hale.model.requirement import Profile, current_profile
from hale.paths import ROOT


@cache  # pytest parses its options twice
def _profile(typed: str) -> str:
    """A profile by its name, or by its name in earlier releases."""
    name = current_profile(typed)
    if name != typed:
        print(
            f"--profile={typed} is now called --profile={name}; the old name will be removed in "
            "the next release.",
            file=sys.stderr,
        )
    return name


def pytest_addoption(parser: pytest.Parser) -> None:
    """Hale's own options, in a group of `pytest --help`."""
    group = parser.getgroup("hale", "audit of Kubernetes hosts (with --hosts)")
    group.addoption(
        "--inventory",
        metavar="FILE",
        help="inventory in Ansible's INI format (default: inventory.ini at the top of the tree)",
    )
    group.addoption(
        "--profile",
        type=_profile,
        choices=[p.value for p in Profile],
        default=Profile.BASELINE.value,
        help="baseline: the published guide's requirements (default); extended: beyond them, "
        "further causes of cluster failures",
    )
    group.addoption(
        "--evidence",
        metavar="FILE",
        help="evaluate a run's evidence.json again; contacts no host",
    )
    group.addoption(
        "--reports",
        metavar="DIR",
        default=str(ROOT / "reports"),
        help="folder in which each run creates its own (default: reports/)",
    )
    group.addoption(
        "--drift",
        action="store_true",
        help="report what has changed since the run that `invoke accept` accepted, also where both "
        "are compliant; the exit status stays that of the verdicts",
    )
    group.addoption(
        "--connect-timeout",
        metavar="SECONDS",
        type=seconds,
        default=5.0,
        help="limit for the login to a host (default: 5)",
    )
    group.addoption(
        "--gather-timeout",
        metavar="SECONDS",
        type=seconds,
        default=60.0,
        help="limit for reading everything from a host (default: 60)",
    )
    group.addoption(
        "--ask-become-pass",
        action="store_true",
        help="ask once for the hosts' sudo password",
    )


def seconds(text: str) -> float:
    """A positive, finite number of seconds. Raises ValueError."""
    found = float(text)
    if not 0 < found < float("inf"):
        raise ValueError
    return found


def contacts_hosts(option: Any) -> bool:
    """Whether pytest runs tests on hosts, rather than printing information."""
    printing = ("collectonly", "help", "version", "markers", "evidence")
    return not any(getattr(option, name) for name in printing)
