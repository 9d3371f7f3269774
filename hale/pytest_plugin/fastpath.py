"""What makes an audit by pytest start and end fast; nothing else depends on it.

`pytest -p no:hale.pytest_plugin.fastpath` goes without. The logins begin as soon as pytest has
read its options, so that a host lets us in while everything else is imported; and Python's garbage
collector leaves alone what an audit keeps to its end (gc module, "Notes").
"""

import contextlib
import gc
import os
from collections.abc import Generator

import pytest

from hale.model.errors import UserError
from hale.paths import ROOT
from hale.pytest_plugin.options import contacts_hosts
from hale.ssh import preconnect


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before conftest.py imports the audit
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Begin to log in. A mistake in the options is reported later, where all are looked at."""
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
        preconnect.preconnect_for_options(option)


def pytest_configure(config: pytest.Config) -> None:
    """Most of what is made from here on lives to the end: scanning it costs dozens of tests."""
    option = config.option
    if getattr(option, "hosts", None) or option.evidence:
        gc.set_threshold(100_000)


def pytest_runtestloop() -> None:
    """Items, cases and evidence live to the end."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Python would scan all that was made before it ends."""
    gc.freeze()
