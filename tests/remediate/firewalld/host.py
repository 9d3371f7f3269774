"""What systemctl and the list of processes say after a change."""

import re

import msgspec

from hale.model.change import Remedy, UnitAction, UnitChange
from tests.facts.test_cases import GivenHost, GivenOutput


def after(host: GivenHost, change: Remedy) -> GivenHost:
    if not isinstance(change, UnitChange):
        return host
    output = host.outputs["unit"].stdout
    assert f"ActiveState={change.active}\n" in output
    outputs = dict(host.outputs)
    if change.action == UnitAction.STOP:
        output = re.sub("(?m)^ActiveState=.*$", "ActiveState=inactive", output)
        output = re.sub("(?m)^SubState=.*$", "SubState=dead", output)
        outputs["processes"] = GivenOutput()
    elif change.action == UnitAction.DISABLE:
        assert f"UnitFileState={change.enabled}\n" in output
        output = re.sub("(?m)^UnitFileState=.*$", "UnitFileState=disabled", output)
        output = re.sub("(?m)^WantedBy=.*\n?", "", output)
    outputs["unit"] = msgspec.structs.replace(host.outputs["unit"], stdout=output)
    return msgspec.structs.replace(host, outputs=outputs)
