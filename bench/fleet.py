"""A fleet of any size, made from evidence that was recorded on the lab's hosts.

One worker's evidence is copied under other names and addresses; some of the copies have a fault,
and some did not answer. Texts that differ from host to host do so here as well.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hale.paths import ROOT

RECORDED = ROOT / "tests" / "reports" / "data"
WORKER = "k8s-node-01"
ADDRESS = "10.208.1.196"
UNREACHED = "k8s-node-02"
FORWARDING = "net.ipv4.ip_forward"
LOST_EVERY = 250  # hosts
FAULT_EVERY = 100


def write(folder: Path, hosts: int) -> tuple[Path, Path]:
    """evidence.json and inventory.ini of so many hosts, three of them masters; their paths."""
    recorded = json.loads((RECORDED / "evidence.json").read_text())
    found: dict[str, Any] = recorded["hosts"]
    model = json.dumps(found.pop(WORKER))
    lost = json.dumps(found.pop(UNREACHED))
    workers = [f"k8s-node-{number:04}" for number in range(1, hosts - len(found) + 1)]
    for number, name in enumerate(workers, 1):
        source, old = (lost, UNREACHED) if number % LOST_EVERY == 0 else (model, WORKER)
        text = source.replace(old, name).replace(ADDRESS, _address(number))
        host = json.loads(text)
        if number % FAULT_EVERY and source is model:
            _forward(host)
        found[name] = host
    evidence = folder / "evidence.json"
    evidence.write_text(json.dumps(recorded))
    inventory = folder / "inventory.ini"
    inventory.write_text("\n".join(_inventory(workers)))
    return evidence, inventory


def _address(number: int) -> str:
    return f"10.208.{2 + number // 250}.{1 + number % 250}"


def _forward(host: dict[str, Any]) -> None:
    """Forwarding is on, as on most hosts; the recorded worker has it off."""
    for output in host["outputs"].values():
        if FORWARDING in output["stdout"]:
            output["stdout"] = (
                output["stdout"]
                .replace(f"{FORWARDING} = 0", f"{FORWARDING} = 1")
                .replace(f"{FORWARDING}=0", f"{FORWARDING}=1")
            )


def _inventory(workers: Iterable[str]) -> Iterable[str]:
    for line in (RECORDED / "inventory.ini").read_text().splitlines():
        if line.startswith((WORKER, UNREACHED)):
            continue
        yield line
        if line == "[workers]":
            for number, name in enumerate(workers, 1):
                yield f"{name} ansible_host={_address(number)}"
