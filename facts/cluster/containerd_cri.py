"""Whether a containerd that runs has its CRI plugin. Not a subject: phases observe it.

It has none where its file disables it, as that of Docker's package does; and one that failed to
load, for want of inotify instances for instance, stays so until a restart. kubeadm and the kubelet
then find "unknown service runtime.v1.RuntimeService".

Sources: ctr, `plugins ls`; containerd-config.toml(5), `disabled_plugins`.
"""

from enum import Enum
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import BLANKS
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import load_script

SUBJECT = "containerd_cri"

_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))


class CriState(Enum):
    """What containerd says of the plugin; value: ctr's word, but for ABSENT."""

    LOADED = "ok"
    FAILED = "error"
    SKIPPED = "skip"
    ABSENT = "absent"


class CriPlugin(Struct, frozen=True):
    """why: containerd's own reason where it failed to load; may be empty."""

    state: CriState
    why: str = ""


def probe() -> CommandProbe:
    """The probe for the plugin's state."""
    return CommandProbe("plugin", _SCRIPT, timeout=20)


@parsed
def read(readings: HostView) -> CriPlugin | None:
    """The plugin; None where containerd does not run, or does not answer. Raises Unreadable."""
    lines = readings.output("plugin").lines
    if not lines:
        return None
    word, _, state = lines[0].partition(" ")
    known = {one.value: one for one in CriState}
    if word != "cri" or state not in known:
        raise Unreadable(f"the answer is garbled: {lines[0][:80]!r}")
    why = lines[1].removeprefix("why ").strip(BLANKS) if len(lines) > 1 else ""
    return CriPlugin(known[state], why)
