"""What systemctl and chronyc report after a change: the unit is started, and synchronizes."""

import re

import msgspec

from hale.model.change import Remedy, SymlinkChange, UnitAction, UnitChange
from tests.facts.test_cases import GivenHost

SYNCHRONIZED = """\
chrony: 0AD00101,10.208.1.1,9,1795910012.4,0.000001,0.0,0.0,0.0,0.0,4.7,0.0,0.0,0.3,Normal
chrony: ^,*,10.208.1.1,8,-2,377,1,0.0,0.0,0.0
status chrony 0
"""


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if "state" not in host.outputs:
        return host
    text = host.outputs["state"].stdout
    if isinstance(change, UnitChange):
        assert change.action is UnitAction.START
        text = _with(text, change.unit, "LoadState", "loaded", "loaded")  # systemd starts no other
        text = _with(text, change.unit, "ActiveState", change.active, "active")
        text = text.replace("now ", f"{SYNCHRONIZED}now ")
    elif isinstance(change, SymlinkChange) and change.target is None:
        unit = change.path.rpartition("/")[2]
        text = _with(text, unit, "LoadState", "masked", "loaded")
    outputs = {"state": msgspec.structs.replace(host.outputs["state"], stdout=text)}
    return msgspec.structs.replace(host, outputs=outputs)


def _with(text: str, unit: str, name: str, old: str, new: str) -> str:
    """systemctl's answer with another state of the unit, which must have the old one."""
    changed, count = re.subn(rf"(Id={unit}\n(?:\w+=.*\n)*?{name}=){old}\n", rf"\g<1>{new}\n", text)
    assert count, f"{unit} is not {old}"
    return changed
