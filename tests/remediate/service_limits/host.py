"""What systemd and the kernel say of the service after a restart: what its files give now."""

import re
from math import inf

import msgspec

from facts import service_limits
from facts.parsers.unit_limits import Item, Limit
from hale.model.change import Remedy, UnitAction, UnitChange
from tests.facts import test_cases as facts_cases
from tests.facts.test_cases import Given, GivenHost

SHOWN: dict[Item, str] = {
    "nofile": "Max open files",
    "nproc": "Max processes",
    "memlock": "Max locked memory",
}


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if not isinstance(change, UnitChange):
        return host
    assert isinstance(host, Given)
    output = host.outputs[change.unit]
    assert change.action == UnitAction.RESTART
    assert f"ActiveState={change.active}\n" in output.stdout
    got = _start(host)
    item = facts_cases.requirement_named(host.requirement).parameters.item
    text = re.sub(
        f"(?m)^{SHOWN[item]} .*$",
        f"{SHOWN[item]}  {_kernel(item, got.soft)}  {_kernel(item, got.hard)}  x",
        output.stdout,
    )
    outputs = host.outputs | {change.unit: msgspec.structs.replace(output, stdout=text)}
    return msgspec.structs.replace(host, outputs=outputs)


def _start(host: Given) -> Limit:
    """What the service starts with: the last line, also of /run, or the default."""
    requirement = facts_cases.requirement_named(host.requirement)
    case = facts_cases.case_of(host, requirement)
    readings = facts_cases.readings_of(host, case, case.host)
    fact = service_limits.read_persisted(readings, case)
    return fact.lines[-1].limit if fact.lines else fact.default


def _kernel(item: Item, value: float) -> str:
    if value == inf:
        return "unlimited"
    return str(int(value * 1024 if item == "memlock" else value))
