"""Runs every test several times, as many as the audit runs."""

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.fixturenames.append("again")
    metafunc.parametrize("again", range(1, int(os.environ["BENCH_REPEAT"]) + 1))
