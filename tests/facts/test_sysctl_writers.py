"""What a boot runs after systemd-sysctl that names a parameter, in a folder in the place of /."""

import subprocess
from pathlib import Path

import pytest

from facts.parsers import sysctl_writers

FOLDERS = (
    "/etc/", "/usr/local/", "/lib/systemd/", "/usr/lib/tuned/", "/var/", "/run/", "/usr/bin/",
    "/(etc|opt|",
)  # fmt: skip
OFF = "sysctl -w net.ipv4.ip_forward=0"
WANTS = "/etc/systemd/system/multi-user.target.wants"


class Root:
    """A folder that the probe takes for a host's root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.folder / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace("@", str(self.folder)))
        file.chmod(mode)

    def enable(self, unit: str) -> None:
        link = self.folder / WANTS[1:] / unit
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(f"../{unit}")

    def found(self) -> list[str]:
        script = sysctl_writers.probe(["net/ipv4/ip_forward"]).script
        for path in FOLDERS:
            script = script.replace(path, f"{self.folder}{path}")
        done = subprocess.run(
            ["sh", "-c", script], capture_output=True, text=True, timeout=20, check=False
        )
        assert not done.stderr
        assert done.returncode == 0
        lines = done.stdout.replace(str(self.folder), "").splitlines()
        return [":".join(line.split(":")[:2]) for line in lines]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_an_empty_host(root: Root) -> None:
    assert root.found() == []


def test_a_unit_that_is_enabled(root: Root) -> None:
    root.write("/etc/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found() == []
    root.enable("a.service")
    assert root.found() == ["/etc/systemd/system/a.service:2"]


@pytest.mark.parametrize("by", ["a.timer", "a.path"])
def test_a_unit_that_a_timer_starts(root: Root, by: str) -> None:
    root.write("/etc/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    root.enable(by)
    assert root.found() == ["/etc/systemd/system/a.service:2"]


def test_a_unit_that_another_one_pulls_in(root: Root) -> None:
    root.write("/etc/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    root.write("/etc/systemd/system/b.service", "[Unit]\nWants=a.service\n")
    assert root.found() == ["/etc/systemd/system/a.service:2"]


def test_a_drop_in(root: Root) -> None:
    root.write(
        "/etc/systemd/system/ssh.service.d/x.conf", f"[Service]\nExecStartPost=/sbin/{OFF}\n"
    )
    assert root.found() == ["/etc/systemd/system/ssh.service.d/x.conf:2"]


def test_scripts_are_followed_two_steps(root: Root) -> None:
    root.write("/etc/systemd/system/a.service", "[Service]\nExecStart=/bin/sh @/opt/one --x\n")
    root.write("/opt/one", "#!/bin/sh\n. @/etc/site/two.sh\n")
    root.write("/etc/site/two.sh", f"\n\n{OFF}\n")
    root.enable("a.service")
    assert root.found() == ["/etc/site/two.sh:3"]


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("sysctl -q -p @/etc/site/parameters", "/etc/site/parameters"),
        ("sysctl --load", "/etc/sysctl.conf"),
        ("/sbin/sysctl --system", "/etc/sysctl.conf"),
    ],
)
def test_files_of_parameters(root: Root, command: str, file: str) -> None:
    root.write("/etc/rc.local", f"#!/bin/sh\n{command}\n", 0o755)
    root.write(file, "net.ipv4.ip_forward = 0\n")
    assert root.found() == [f"{file}:1"]


def test_rc_local_must_be_executable(root: Root) -> None:
    root.write("/etc/rc.local", f"#!/bin/sh\n{OFF}\n")
    assert root.found() == []
    root.write("/etc/rc.local", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found() == ["/etc/rc.local:2"]


@pytest.mark.parametrize(
    ("unit", "file"),
    [
        ("networking.service", "/etc/network/interfaces"),
        ("networking.service", "/etc/network/interfaces.d/lan"),
        ("networking.service", "/etc/network/if-up.d/site"),
        ("NetworkManager.service", "/etc/NetworkManager/dispatcher.d/90-site"),
        ("networkd-dispatcher.service", "/etc/networkd-dispatcher/routable.d/site"),
    ],
)
def test_files_of_a_manager_that_starts(root: Root, unit: str, file: str) -> None:
    root.write(file, f"{OFF}\n")
    assert root.found() == []
    root.enable(unit)
    assert root.found() == [f"{file}:1"]
    root.write(f"/etc/systemd/system/{unit}", "")
    mask = root.folder / f"etc/systemd/system/{unit}"
    mask.unlink()
    mask.symlink_to("/dev/null")
    assert root.found() == []


@pytest.mark.parametrize("file", ["/etc/cron.d/site", "/etc/crontab", "/etc/udev/rules.d/9.rules"])
def test_what_always_runs(root: Root, file: str) -> None:
    root.write(file, f"@reboot root {OFF}\n")
    assert root.found() == [f"{file}:1"]


def test_ufw(root: Root) -> None:
    root.write("/etc/default/ufw", 'MANAGE_BUILTINS=no\nIPT_SYSCTL="@/etc/ufw/sysctl.conf"\n')
    root.write("/etc/ufw/sysctl.conf", "net/ipv4/ip_forward=0\n")
    root.write("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    assert root.found() == []
    root.enable("ufw.service")
    assert root.found() == ["/etc/ufw/sysctl.conf:1"]
    root.write("/etc/ufw/ufw.conf", "ENABLED=no\n")
    assert root.found() == []


def test_tuned(root: Root) -> None:
    root.write("/etc/tuned/active_profile", "site\n")
    root.write("/etc/tuned/site/tuned.conf", "[main]\ninclude=router\n")
    root.write("/usr/lib/tuned/router/tuned.conf", "[sysctl]\nnet.ipv4.ip_forward=0\n")
    root.write("/usr/lib/tuned/other/tuned.conf", "[sysctl]\nnet.ipv4.ip_forward=0\n")
    root.enable("tuned.service")
    # By default it sets sysctl.d once more after its own.
    root.write("/etc/tuned/tuned-main.conf", "reapply_sysctl = 1\n")
    assert root.found() == []
    root.write("/etc/tuned/tuned-main.conf", "reapply_sysctl = 0\n")
    assert root.found() == ["/usr/lib/tuned/router/tuned.conf:2"]


def test_cloud_init(root: Root) -> None:
    root.write("/usr/bin/cloud-init", "")
    text = f"runcmd:\n - {OFF}\nbootcmd:\n - {OFF}\n# end\n - {OFF}\nusers:\n - {OFF}\n"
    root.write("/etc/cloud/cloud.cfg.d/site.cfg", text)
    assert root.found() == [f"/etc/cloud/cloud.cfg.d/site.cfg:{n}" for n in (4, 6)]
    root.write("/etc/cloud/cloud-init.disabled", "")
    assert root.found() == []


def test_networkd(root: Root) -> None:
    root.write("/etc/systemd/network/lan.network", "[Network]\nIPv4Forwarding=no\n")
    assert root.found() == []
    root.enable("systemd-networkd.service")
    assert root.found() == ["/etc/systemd/network/lan.network:2"]
