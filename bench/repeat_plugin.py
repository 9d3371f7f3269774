"""pytest plugin: repeats every requirement, so that there are enough tests to time.

`pytest -p bench.repeat_plugin --repeat=2 --hosts=all`. A copy is a requirement with an id of its
own (`SYS-IP-FORWARD~2`): it has its own tests, results and entries in every report, and its facts
are parsed again. Only the probes of the hosts do not multiply, because they depend on the
subjects. Overrides of the inventory apply to the copies too.
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
        inventory: Inventory,
        standard: Standard,
        profile: str,
        hosts: Sequence[Host],
        *,
        masters_suffice: bool = False,
    ) -> list[Case[Any]]:
        found = once(inventory, standard, profile, hosts, masters_suffice=masters_suffice)
        copies = [_copy(case, number) for number in range(2, times + 1) for case in found]
        return found + copies

    audit_cases.build_cases = cases


def _copy(case: Case[Any], number: int) -> Case[Any]:
    of = case.requirement
    shared = dict.fromkeys(of.parameters.__struct_fields__, of.id) | dict(of.shared)
    name = f"{of.id}{COPY}{number}"
    return replace(case, requirement=replace(of, id=name, shared=shared))
