"""pytest plugin: states every requirement several times over, to have tests enough to time.

`pytest -p bench.repeat --repeat=2 --hosts=all`. A copy is a requirement like any other, with an
id of its own (`SYS-IP-FORWARD~2`): it has its own tests, rows, and places in every report, and
its facts are parsed for it anew. Only what is asked of the hosts does not grow, because that
goes by what the subjects need. Overrides of the inventory hold for the copies too.
"""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from hale.audit import cases as audit_cases
from hale.inventory.ini import Host, Inventory
from hale.model.requirement import Case
from hale.standard.loader import Standard

COPY = "~"  # between a requirement's id and the number of its copy


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repeat", type=int, default=1, help="how often to state each requirement")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    times: int = config.option.repeat
    once = audit_cases.build_cases

    def cases(
        inventory: Inventory, standard: Standard, profile: str, hosts: Sequence[Host]
    ) -> list[Case[Any]]:
        found = once(inventory, standard, profile, hosts)
        copies = [_copy(case, number) for number in range(2, times + 1) for case in found]
        return found + copies

    audit_cases.build_cases = cases


def _copy(case: Case[Any], number: int) -> Case[Any]:
    name = f"{case.requirement.id}{COPY}{number}"
    return replace(case, requirement=replace(case.requirement, id=name))
