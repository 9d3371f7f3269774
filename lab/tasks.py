"""The lab's commands: `invoke lab.up | supply | stranger | down | status | shell | power`.

What they need is imported when they run: `invoke fix` knows them too, and has no use for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task
from rich.console import Console
from rich.table import Table

from hale.cli.options import Command
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.machine import HostStatus, Lab

_DEFAULT = os.environ.get("HALE_LAB", "lab")
_NAME = {"name": "the name of the lab (default: $HALE_LAB, or lab)"}


@task(
    help={
        **_NAME,
        "hosts": "start these hosts only: k8s-master-01,… (default: the baseline's five)",
        "second": "hosts of a second cluster to start as well, 1 or 3: k8s-b-master-01 …",
    }
)
def up(_: Context, name: str = _DEFAULT, hosts: str = "", second: int = 0) -> None:
    """Start the lab (2 s, the first time a minute more) and print how to use it."""
    with _plainly():
        lab = _lab(name, chosen_hosts(hosts, second))
        lab.up()
        _print_status(lab)
        print("\nAudit it:\n")
        print(f"    .venv/bin/pytest --inventory {lab.inventory} --hosts=all")
        if lab.second_hosts:
            print(f"    .venv/bin/pytest --inventory {lab.second_inventory} --hosts=all")
        print()


@task(help=_NAME)
def down(_: Context, name: str = _DEFAULT) -> None:
    """Remove the lab and everything it created."""
    with _plainly():
        lab = _lab(name)
        there = name in lab.existing()
        lab.down()
        print(f"lab {name} is down" if there else f"there is no lab {name}; nothing to remove")


@task(
    help={
        **_NAME,
        "kube-dir": "use Kubernetes' programs from this folder (kubernetes/server/bin of a "
        "release) instead of building them",
        "dnf": "hosts (or all) to convert to dnf and containerd 2: k8s-node-02,…; three more "
        "minutes once",
        "karmada": "serve Karmada's images and set the inventory; ten more minutes once",
        "kube-vip": "let kube-vip hold the VIP: install its manifest on the masters and set the "
        "inventory; two more minutes once",
    }
)
def supply(
    _: Context,
    name: str = _DEFAULT,
    kube_dir: str = "",
    dnf: str = "",
    kube_vip: bool = False,
    karmada: bool = False,
) -> None:
    """Build Kubernetes and serve packages and images in the lab (8 minutes once, then seconds)."""
    from lab.mirror import start_mirror

    with _plainly():
        lab = _running(name)
        hosts = lab.hosts if dnf == "all" else [lab[host] for host in dnf.split(",") if host]
        release = Path(kube_dir).resolve() if kube_dir else None
        start_mirror(lab, _say, release, hosts, kube_vip, karmada)
        print(f"\nThe cluster's variables are in {lab.inventory}")
        if lab.second_hosts:
            print(f"Those of the second cluster are in {lab.second_inventory}")


@task(
    help={
        **_NAME,
        "no-kube-proxy": "delete kube-proxy's DaemonSet; another program serves the Services",
    }
)
def stranger(_: Context, name: str = _DEFAULT, no_kube_proxy: bool = False) -> None:
    """Build an HA cluster without Hale, by kubeadm and by hand, as sites have them (2 minutes)."""
    from lab import stranger as built

    with _plainly():
        lab = _lab(name)
        lab.up()
        built.build(lab, _say)
        if no_kube_proxy:
            built.delete_kube_proxy(lab)
        print("\nSee what Hale would do to it:\n")
        print(f"    .venv/bin/pytest --inventory {lab.inventory} --hosts=all")
        print(f"    .venv/bin/invoke install --plan --inventory {lab.inventory}\n")


@task(help=_NAME)
def status(_: Context, name: str = _DEFAULT) -> None:
    """Show the lab's hosts: power, address, whether ssh answers, uptime."""
    with _plainly():
        lab = _running(name)
        _print_status(lab)


@task(klass=Command, help={**_NAME, "host": "the host, for instance k8s-master-01"})
def shell(_: Context, host: str, name: str = _DEFAULT) -> None:
    """Open a root shell on a host, over ssh."""
    with _plainly():
        lab = _running(name)
        if not lab[host].running:
            raise LabError(f"{host} is off: `invoke lab.power on {host}`")
        sys.stdout.flush()
        os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), lab[host].address])


@task(
    positional=["state", "host"],
    help={**_NAME, "state": "on, off or cycle", "host": "the host, for instance k8s-master-01"},
)
def power(_: Context, state: str, host: str, name: str = _DEFAULT) -> None:
    """Cut a host's power, switch it on, or both."""
    with _plainly():
        machine = _running(name)[host]
        match state:
            case "on":
                machine.power_on()
            case "off":
                machine.power_off()
            case "cycle":
                machine.power_cycle()
            case _:
                raise LabError(f"power is switched on, off or cycle, not {state!r}")
        print(f"{host} is {'on' if machine.running else 'off'}")


def chosen_hosts(hosts: str, second: int) -> list[str] | None:
    """The names of hosts to start; None for those of the lab, or the baseline's.

    Raises LabError.
    """
    from lab import topology

    if second not in (0, 1, 3):
        raise LabError(f"a second cluster has 1 or 3 hosts, not {second}: --second 1")
    if not hosts and not second:
        return None
    first = [host.name for host in topology.HOSTS]
    given = hosts.split(",") if hosts else first
    if wrong := [name for name in given if name not in first]:
        raise LabError(f"--hosts: choose from {', '.join(first)}, not {', '.join(wrong)}")
    return [*given, *(host.name for host in topology.SECOND_HOSTS[:second])]


def _lab(name: str, hosts: list[str] | None = None) -> Lab:
    from lab.machine import Lab

    return Lab(name, _say, hosts)


def _running(name: str) -> Lab:
    lab = _lab(name)
    if not lab.is_up:
        others = [other for other in lab.existing() if _lab(other).is_up]
        hint = f" (up: {', '.join(others)}; choose with --name)" if others else ""
        raise LabError(f"lab {name} is down{hint}: start it with `invoke lab.up`")
    return lab


def _say(line: str) -> None:
    print(line, flush=True)


def _print_status(lab: Lab) -> None:
    table = Table(title=f"lab {lab.name}", title_justify="left")
    for column in ("host", "address", "power", "ssh", "uptime"):
        table.add_column(column, justify="right" if column == "uptime" else "left")
    for host in lab.status():
        table.add_row(*_row(host))
    Console().print(table)
    if (lab.state / "supply").exists():
        from lab.mirror import dnf_host, services

        there = (*services.ALL, services.RPMS) if dnf_host.is_served(lab.state) else services.ALL
        for service in there:
            how = "answers" if service.answers(lab.name) else "is dead: `invoke lab.supply`"
            print(f"{service.name} at {service.url}: {how}")


def _row(host: HostStatus) -> tuple[str, str, str, str, str]:
    uptime = "" if host.uptime is None else f"{host.uptime:.0f} s"
    power = "on" if host.on else "off"
    ssh = "answers" if host.banner else "does not answer" if host.on else ""
    return host.name, host.address, power, ssh, uptime


@contextmanager
def _plainly() -> Iterator[None]:
    """Show the lab's errors as what they are, messages, and Ctrl-C as an end, not a traceback."""
    try:
        yield
    except LabError as e:
        raise Exit(f"lab: {e}", code=1) from e
    except KeyboardInterrupt as e:
        raise Exit("interrupted", code=130) from e


lab = Collection("lab", up, supply, stranger, down, status, shell, power)
