"""A plugin of pytest's that runs the tests in another order, as pytest-randomly does."""

import random

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    random.Random(7).shuffle(items)
