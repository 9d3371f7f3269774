"""The state of systemd's services, and since when. Not a subject: the install's phases observe it.

`since` is the start of a service's newest process: the main process of haproxy and keepalived
survives a reload, and a child of it runs with the new configuration.

Sources: systemctl(1) `show`; proc_pid_stat(5), field 22; proc_uptime(5).
"""

import shlex
from collections.abc import Iterable, Mapping

from msgspec import Struct

from hale.model.evidence import CommandProbe, HostView, Unreadable

SUBJECT = "services"

_SCRIPT = """\
command -v systemctl >/dev/null || { echo "there is no systemd" >&2; exit 127; }
hz=$(getconf CLK_TCK 2>/dev/null || echo 100)
for u in %s; do
  eval "$(systemctl show -p LoadState -p ActiveState -p UnitFileState -p MainPID -- "$u" |
    sed 's/^\\([A-Za-z]*\\)=\\(.*\\)$/\\1="\\2"/')"
  newest=0
  if [ "$MainPID" != 0 ]; then
    for p in "$MainPID" $(cat "/proc/$MainPID/task/$MainPID/children" 2>/dev/null); do
      read -r l <"/proc/$p/stat" 2>/dev/null || continue
      set -- ${l##*) }; shift 19; [ "$1" -le "$newest" ] || newest=$1
    done
  fi
  echo "$u $LoadState $ActiveState ${UnitFileState:-none} $newest"
done
read -r up rest </proc/uptime
echo "now $(date +%%s.%%N) $up $hz"
"""


class Service(Struct, frozen=True):
    """loaded: systemd knows the unit. since: seconds since the epoch, 0 without a process."""

    loaded: bool
    active: bool
    enabled: bool
    since: float


def probe(units: Iterable[str]) -> CommandProbe:
    """The probe for these units."""
    return CommandProbe("units", _SCRIPT % " ".join(map(shlex.quote, units)))


def read(readings: HostView) -> Mapping[str, Service]:
    """The services by unit. Raises Unreadable."""
    *lines, last = readings.output("units").lines or [""]
    try:
        _, clock, up, hertz = last.split()
        boot = float(clock) - float(up)
        found = {}
        for line in lines:
            unit, load, active, enabled, ticks = line.split()
            since = boot + int(ticks) / int(hertz) if int(ticks) else 0.0
            found[unit] = Service(
                load == "loaded", active == "active", enabled.startswith("enabled"), since
            )
    except ValueError:
        raise Unreadable(f"the answer is garbled: {last[:80]!r}") from None
    return found
