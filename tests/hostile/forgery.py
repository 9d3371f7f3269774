"""What tests of forged plans and journals have in common: names, changes, and the refusal."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from invoke.program import Program

from hale.inventory import ini
from hale.model.change import AppendLine, FileEdit, Impact
from hale.paths import ROOT
from hale.plan import scope
from hale.ssh import SessionPool
from hale.standard import loader

STANDARD = loader.load_standard(ROOT / "standard")
KNOWN = ini.load_inventory(ROOT / "inventory.ini")
SCOPES = scope.scopes(STANDARD, KNOWN)
HOST = "k8s-node-01"
FORWARD = "/proc/sys/net/ipv4/ip_forward"
K8S = "/etc/sysctl.d/k8s.conf"
LINE = "net.ipv4.ip_forward = 1"
SYSTEMD = "/etc/systemd/system"
MASK = f"{SYSTEMD}/firewalld.service"
COSTS = (Impact.DISRUPTS_TRAFFIC,)
ALL = "[all:vars]\nvip=127.0.0.9\nvip_port=16443\nvip_names=k8s-vip\n"


def edit(path: str, text: str = LINE) -> FileEdit:
    return FileEdit(path, (AppendLine(text),), "why")


def unreachable_site(folder: Path) -> Path:
    """An inventory of HOST, at an address that does not answer."""
    path = folder / "inventory.ini"
    path.write_text(f"[masters]\n{HOST} ansible_host=127.0.0.1 ansible_port=1\n{ALL}")
    return path


class Refusal:
    """Runs a command of `invoke` that must refuse its input."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch = monkeypatch
        self._capsys = capsys

    def expect(self, why: str, workflow: ModuleType, *words: str) -> None:
        """The command ends with one line that matches `why`, and contacts no host.

        workflow: the module whose audit the command would begin with.
        """

        def contact(*_: object, **__: object) -> None:
            raise AssertionError("a host was contacted")

        self._patch.setattr(workflow, "audit", contact)
        self._patch.setattr(SessionPool, "start", contact)
        self._patch.setattr(SessionPool, "session", contact)
        self._patch.chdir(ROOT)
        self._patch.setattr(sys, "argv", ["invoke", *words])
        with pytest.raises(SystemExit) as ended:
            Program().run()
        assert ended.value.code == 1
        shown = self._capsys.readouterr()
        assert not shown.out
        (line,) = shown.err.splitlines()
        assert re.search(why, line)
