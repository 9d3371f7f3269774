"""The state of systemd's services, and since when. Not a subject: the install's phases observe it.

`since` is the start of a service's newest process: the main process of haproxy and keepalived
survives a reload, and a child of it runs with the new configuration.

Sources: systemctl(1) `show`; proc_pid_stat(5), field 22; proc_uptime(5).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from facts.parsers.blanks import split_words
from hale.model.evidence import CommandProbe, HostView, Unreadable, parsed
from hale.shell import arguments, load_script

SUBJECT = "services"

_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))


class Service(Struct, frozen=True):
    """loaded: systemd knows the unit. since: seconds since the epoch, 0 without a process."""

    loaded: bool
    active: bool
    enabled: bool
    since: float


def probe(units: Iterable[str]) -> CommandProbe:
    """The probe for these units."""
    return CommandProbe("units", f"{arguments(*units)}{_SCRIPT}")


class _Services(dict[str, Service]):
    def __missing__(self, unit: str) -> Service:
        raise Unreadable(f"the answer is garbled: it has no {unit}")


@parsed
def read(readings: HostView) -> Mapping[str, Service]:
    """The services by unit; a unit that is not in the answer is Unreadable. Raises Unreadable."""
    *lines, last = readings.output("units").lines or [""]
    try:
        _, clock, up, hertz = split_words(last)
        boot = float(clock) - float(up)
        found = _Services()
        for line in lines:
            unit, load, active, enabled, ticks = split_words(line)
            since = boot + int(ticks) / int(hertz) if int(ticks) else 0.0
            found[unit] = Service(
                load == "loaded", active == "active", enabled.startswith("enabled"), since
            )
    except (ValueError, ZeroDivisionError):
        raise Unreadable(f"the answer is garbled: {last[:80]!r}") from None
    return found
