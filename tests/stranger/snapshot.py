"""What a cluster consists of, before and after a command: files, units, mounts, processes, objects.

Two snapshots differ in `Change`s; a test names those that the printed plan names, and no others.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from hale.shell import load_script
from lab.machine import Lab, LabHost

_SCRIPT = load_script(Path(__file__).with_suffix(".sh"))
#: Of the cluster's objects: what moves by itself.
_MOVING = {"leases", "events", "endpointslices", "endpoints", "ipaddresses"}
_OBJECTS = f"""
export KUBECONFIG=/etc/kubernetes/admin.conf
kinds=$(kubectl api-resources --verbs=list -o name | sed 's/\\..*//' | sort -u |
  grep -vxE '{"|".join(sorted(_MOVING))}|componentstatuses|nodes|pods' | paste -sd,)
kubectl get "$kinds,nodes.v1.,pods.v1." -A -o json
"""
#: Hale's own state on a host: its journal's copies and locks.
HALE_STATE = "file /var/lib/hale"

Snapshot = Mapping[str, str]


class Change(NamedTuple):
    """What differs: where (a host, or `cluster`), what, and how it was and is."""

    where: str
    what: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.before or '(none)'} -> {self.after or '(none)'}"


def take(lab: Lab, without: Sequence[str] = ()) -> Snapshot:
    """The whole of it now; without: hosts that are left out. Keys are `where: what`."""
    hosts = [h for h in lab.hosts if h.name not in without]
    with ThreadPoolExecutor(len(hosts) + 1) as pool:
        objects = pool.submit(_objects, hosts[0])
        found: dict[str, str] = {}
        for host, lines in zip(hosts, pool.map(host_lines, hosts), strict=True):
            found |= {f"{host.name}: {what}": value for what, value in lines}
        return found | objects.result()


def changes(before: Snapshot, after: Snapshot) -> list[Change]:
    """What differs, but for Hale's own state."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        where, _, what = key.partition(": ")
        if old != new and not what.startswith(HALE_STATE):
            found.append(Change(where, what, _shown(old), _shown(new)))
    return found


def shown(found: Sequence[Change]) -> str:
    """For an assertion's message."""
    return "\n".join(map(str, found))


def _shown(value: str | None) -> str:
    return "" if value is None else value or "there"


def host_lines(host: LabHost) -> Iterator[tuple[str, str]]:
    """What a host consists of: what, and its value."""
    for line in host.run(_SCRIPT, timeout=120).stdout.decode(errors="replace").splitlines():
        what, tab, value = line.partition("\t")
        if tab:
            yield what, value


def _objects(host: LabHost) -> dict[str, str]:
    listed = json.loads(host.run(_OBJECTS, timeout=120).stdout)
    return {
        f"cluster: {one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}":
        json.dumps(_lasting(one), sort_keys=True)
        for one in listed["items"]
    }  # fmt: skip


def _lasting(one: dict[str, Any]) -> dict[str, Any]:
    """The object without what moves by itself."""
    about = {
        k: v
        for k, v in one["metadata"].items()
        if k not in ("resourceVersion", "managedFields", "generation")
    }
    return {k: v for k, v in one.items() if k != "status"} | {"metadata": about}
