"""What systemctl and the list of processes say after a change."""

import re

import msgspec

from hale.model.change import Remedy, UnitAction, UnitChange
from tests.facts.test_cases import GivenHost, GivenOutput


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if not isinstance(change, UnitChange):
        return host
    said = host.outputs["unit"].stdout
    assert f"ActiveState={change.active}\n" in said
    outputs = dict(host.outputs)
    if change.action == UnitAction.STOP:
        said = re.sub("(?m)^ActiveState=.*$", "ActiveState=inactive", said)
        said = re.sub("(?m)^SubState=.*$", "SubState=dead", said)
        outputs["processes"] = GivenOutput()
    elif change.action == UnitAction.DISABLE:
        assert f"UnitFileState={change.enabled}\n" in said
        said = re.sub("(?m)^UnitFileState=.*$", "UnitFileState=disabled", said)
        said = re.sub("(?m)^WantedBy=.*\n?", "", said)
    outputs["unit"] = msgspec.structs.replace(host.outputs["unit"], stdout=said)
    return msgspec.structs.replace(host, outputs=outputs)
