"""What the running haproxy prints over its stats socket. Not a subject.

Source: haproxy's Management Guide, 9.3 "Unix Socket commands".
"""

import csv
from collections.abc import Mapping, Sequence

from msgspec import Struct

from facts.parsers import haproxy
from facts.parsers.blanks import BLANKS, is_decimal
from facts.parsers.haproxy import normal_address
from hale.model.evidence import Unreadable

RUNNING = "2"  # SRV_ST_RUNNING, of srv_op_state
UNCHECKED = "no check"  # the status of such a server in `show stat`


class Backend(Struct, frozen=True):
    """A server of haproxy. why: the result of its last health check. unproven: what that misses.

    address: empty where haproxy has none for its host_name, which is empty for one by address.
    """

    name: str
    address: str
    port: int
    up: bool
    why: str = ""
    host_name: str = ""
    unproven: str = ""

    def __str__(self) -> str:
        by = f"{self.host_name}, " if self.host_name else ""
        return f"{self.name} ({by}{self.address}:{self.port})"


def started_at(lines: Sequence[str]) -> float:
    """When the running process started, in seconds since the epoch, by the host's clock.

    Raises Unreadable.
    """
    info = dict(line.split(": ", 1) for line in lines if ": " in line)
    now = next((line.removeprefix("now ") for line in lines if line.startswith("now ")), "")
    up = info.get("Uptime_sec", "")
    if not is_decimal(now) or not is_decimal(up):
        raise Unreadable("haproxy's `show info` has no Uptime_sec: its answer is truncated")
    return float(now) - float(up)


def running_servers(lines: Sequence[str]) -> Mapping[str, list[Backend]]:
    """Each backend's servers. Raises Unreadable where a table is missing."""
    states = _table(lines, "# be_id ", " ")
    checks = {
        (row.get("pxname"), row.get("svname")): row for row in _table(lines, "# pxname,", ",")
    }
    found: dict[str, list[Backend]] = {}
    for row in states:
        try:
            check = checks.get((row["be_name"], row["srv_name"]), {})
            health = " ".join(
                check.get(k, "") for k in ("status", "check_status", "last_chk")
            ).strip(BLANKS)
            up = row["srv_op_state"] == RUNNING and row["srv_admin_state"] == "0"
            missed = ""
            if check.get("status") == UNCHECKED:
                missed = haproxy.Check("none").fault
            found.setdefault(row["be_name"], []).append(
                Backend(
                    row["srv_name"],
                    normal_address(row["srv_addr"]) or row["srv_addr"].removeprefix("-"),
                    int(row["srv_port"]),
                    up,
                    health,
                    (row.get("srv_fqdn") or "-").removeprefix("-"),
                    missed,
                )
            )
        except (KeyError, ValueError) as error:
            raise Unreadable(f"haproxy's table has an unknown format: {error!r}") from None
    return found


def _table(lines: Sequence[str], head: str, between: str) -> list[dict[str, str]]:
    start = next((i for i, line in enumerate(lines) if line.startswith(head)), None)
    if start is None:
        raise Unreadable(f"haproxy's answer has no table `{head.strip(BLANKS)}`: it is truncated")
    end = next((i for i in range(start, len(lines)) if not lines[i].strip(BLANKS)), len(lines))
    rows = [line.removeprefix("# ") for line in lines[start:end]]
    # DictReader has None for what a line lacks, and as the name of what it has too much.
    read = csv.DictReader(rows, delimiter=between)
    return [{k: v for k, v in row.items() if k is not None and v is not None} for row in read]
