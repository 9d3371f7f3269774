"""The probe of haproxy's host names, run as it is with a getent(1) of its own."""

import os
import subprocess
from pathlib import Path

from msgspec.structs import replace

from facts.load_balancer import LoadBalancerParameters, probes
from facts.parsers.haproxy import FILE
from hale.inventory import ini as inventories
from hale.model.evidence import CommandProbe
from hale.model.requirement import Aspect, Case
from hale.standard.loader import load_standard

ROOT = Path(__file__).parent.parent.parent

GETENT = """#!/bin/sh
[ "$1" = ahosts ] || exit 9
case $2 in
m1.k8s.io) printf '10.0.0.1       STREAM m1.k8s.io\\n10.0.0.1       DGRAM  \\n' ;;
both) printf '10.0.0.2  STREAM both\\nfe80::2%%eth0  STREAM \\n' ;;
*) exit 2 ;;
esac
"""
# The eight seconds are over once three resolvers hang at the same time.
TIMEOUT = """#!/bin/sh
[ "$1" = 8 ] || exit 9
shift
case $3 in hangs*) ;; *) exec "$@" ;; esac
: >"hangs-$3"
for _ in $(seq 400); do
  set -- hangs-*
  [ $# != 3 ] || exit 124
  sleep 0.05
done
"""
CONFIG = """
backend kube-masters
\tdefault-server inter 2s
\tserver\tm1\tm1.k8s.io:6443 check # the first
\tserver m2 "both":6443
\tserver m3 ipv4@gone:6443#3
\tserver m4 10.0.0.4:6443
\tserver m5 [::1]:6443
\tserver m6 "$(touch pwned)":6443
\tserver m7 /run/socket
\tserver-template t 3 m1.k8s.io:6443
#\tserver m8 old:6443
"""


def answer(folder: Path, config: str | None, *names: str) -> list[str]:
    file = folder / "haproxy.cfg"
    if config is not None:
        file.write_text(config)
    for name, text in {"getent": GETENT, "timeout": TIMEOUT}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", script(names).replace(FILE, str(file))],
        cwd=folder,
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert not done.stderr
    assert not (folder / "pwned").exists()
    lines = done.stdout.splitlines()
    assert lines[-1] == "end"
    return sorted(lines[:-1])


def script(names: tuple[str, ...]) -> str:
    """The probe's script, where the inventory's first masters have these names for an address."""
    inventory = inventories.load_inventory(ROOT / "inventory.ini")
    hosts = [
        replace(host, address=name) for host, name in zip(inventory.hosts, names, strict=False)
    ]
    inventory = replace(inventory, hosts=(*hosts, *inventory.hosts[len(hosts) :]))
    found = load_standard(ROOT / "standard").requirements
    wanted = next(r for r in found if r.subject == "load_balancer")
    host = inventory.masters[0]
    assert isinstance(wanted.parameters, LoadBalancerParameters)
    case = Case(wanted, Aspect.RUNTIME, host, wanted.parameters, (), inventory)
    return next(
        p.script for p in probes(host, [case]) if isinstance(p, CommandProbe) and p.name == "names"
    )


def test_each_name_is_looked_up_once(tmp_path: Path) -> None:
    assert answer(tmp_path, CONFIG) == [
        "name both 0 10.0.0.2 fe80::2%eth0",
        "name gone 2 ",
        "name m1.k8s.io 0 10.0.0.1 10.0.0.1",
    ]


def test_masters_without_an_address_are_looked_up_too(tmp_path: Path) -> None:
    assert answer(tmp_path, None, "m1.k8s.io") == ["name m1.k8s.io 0 10.0.0.1 10.0.0.1"]


def test_no_file(tmp_path: Path) -> None:
    assert answer(tmp_path, None) == []


def test_no_more_than_64_names(tmp_path: Path) -> None:
    many = "".join(f"server m{n} m{n:03}:6443\n" for n in range(500))
    assert len(answer(tmp_path, many)) == 64


def test_a_resolver_that_hangs(tmp_path: Path) -> None:
    """All at once: three take no longer than one."""
    config = "".join(f"server m{n} hangs{n}:6443\n" for n in range(3)) + "server a both:6443\n"
    assert answer(tmp_path, config) == [
        "name both 0 10.0.0.2 fe80::2%eth0",
        *[f"name hangs{n} 124 " for n in range(3)],
    ]
