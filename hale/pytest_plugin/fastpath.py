"""Makes an audit by pytest start and end fast; nothing else depends on it.

`pytest -p no:hale.pytest_plugin.fastpath` switches it off. The logins start as soon as pytest has
read its options, so they run while everything else is imported; and Python's garbage collector
skips the objects that an audit keeps until its end (gc module, "Notes").
"""

import contextlib
import gc
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from hale.inventory import ini, selection
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.pytest_plugin.options import contacts_hosts
from hale.pytest_plugin.sessions import adopt
from hale.ssh import SessionPool
from hale.ssh.inventory_targets import targets_for_options


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before conftest.py imports the audit
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Start to log in. Invalid options are reported later, when all of them are checked."""
    _preconnect(early_config)
    return (yield)


def _preconnect(early_config: pytest.Config) -> None:
    option = early_config.known_args_namespace
    if (
        not getattr(option, "hosts", None)  # with `-p no:testinfra` there is no such option
        or option.ask_become_pass
        or not contacts_hosts(option)
        or "PYTEST_XDIST_WORKER" in os.environ  # the controller has gathered for the workers
        or early_config.rootpath.resolve() != ROOT.resolve()
    ):
        return
    with contextlib.suppress(UserError):
        known = ini.load_inventory(Path(option.inventory or ROOT / "inventory.ini"))
        if option.drift:
            from hale.audit.accepted import load_accepted

            load_accepted(known.path)  # nothing is contacted if it is malformed
        chosen = selection.select_hosts(option.hosts, known, lambda uri: ())
        sessions = SessionPool(targets_for_options(chosen, option))
        adopt(early_config, sessions)
        sessions.start(sessions.targets)


def pytest_configure(config: pytest.Config) -> None:
    """Most objects from here on live until the end: scanning them costs the time of dozens of
    tests."""
    option = config.option
    if getattr(option, "hosts", None) or option.evidence:
        gc.set_threshold(100_000)


def pytest_runtestloop() -> None:
    """Items, cases and evidence live until the end."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Python would scan all objects before it exits."""
    gc.freeze()
