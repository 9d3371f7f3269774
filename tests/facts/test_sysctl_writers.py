"""What a boot runs after systemd-sysctl that names a parameter, in a folder in the place of /.

The same folder for boot_commands.sh, and both as a user who cannot read all of it.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from facts.parsers import boot_commands, sysctl_writers
from hale.gather.request import request_of_probes
from tests.engine.local_gather import HOST

FOLDERS = (
    "/etc/", "/usr/local/", "/opt/bin/", "/lib/systemd/", "/usr/lib/tuned/", "/var/", "/run/",
    "/usr/bin/", "/usr/sbin/cron", "/(etc|opt|", "/dev/disk/", "/root/", "/boot/", "/proc/cmdline",
)  # fmt: skip
OFF = "sysctl -w net.ipv4.ip_forward=0"
WANTS = "/etc/systemd/system/multi-user.target.wants"
WRITERS, COMMANDS = (
    command.script
    for _, command in request_of_probes(
        HOST,
        [
            ("sysctl", sysctl_writers.probe(["net/ipv4/ip_forward"])),
            ("swap", boot_commands.probe("ip_forward")),
        ],
    ).commands
)
USER = 65534
REFUSED = "is not readable by this user: audit as root (ansible_become=true)\n"


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

    def ran(self, script: str, user: int | None = None) -> "subprocess.CompletedProcess[str]":
        # One folder's name is in the other's.
        script = script.replace("/var/lib/systemd/", "/var/lib//systemd/")
        for path in FOLDERS:
            script = script.replace(path, f"{self.folder}{path}")
        return subprocess.run(
            ["sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd="/",
        )

    def found(self, script: str = WRITERS, user: int | None = None) -> list[str]:
        done = self.ran(script, user)
        assert not done.stderr
        assert done.returncode == 0
        lines = done.stdout.replace(str(self.folder), "").splitlines()
        return [":".join(line.split(":")[:2]) for line in lines]

    def refused(self, script: str) -> str:
        """Why the probe of a user other than root could not see all; empty where it could."""
        done = self.ran(script, USER)
        assert done.returncode == (3 if done.stderr else 0), done
        return done.stderr.replace(str(self.folder), "")


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


@pytest.mark.parametrize("script", [WRITERS, COMMANDS])
@pytest.mark.parametrize("links", ["/etc/systemd/user", "/root/.config/systemd/user"])
@pytest.mark.parametrize(
    "folder",
    [
        "/etc/systemd/user",
        "/root/.config/systemd/user",
        "/root/.local/share/systemd/user",
        "/usr/local/share/systemd/user",
    ],
)
def test_a_unit_of_roots_own_manager_which_lingers(
    root: Root, script: str, folder: str, links: str
) -> None:
    root.write(f"{folder}/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    link = root.folder / links[1:] / "default.target.wants/a.service"
    link.parent.mkdir(parents=True)
    link.symlink_to(root.folder / folder[1:] / "a.service")
    assert root.found(script) == []
    root.write("/var/lib/systemd/linger/root", "")
    assert root.found(script) == [f"{folder}/a.service:2"]


@pytest.mark.parametrize("script", [WRITERS, COMMANDS])
@pytest.mark.parametrize("file", ["/proc/cmdline", "/boot/loader/entries/a.conf"])
def test_a_unit_that_the_kernels_command_line_wants(root: Root, script: str, file: str) -> None:
    root.write("/etc/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found(script) == []
    root.write(file, "options ro quiet systemd.wants=a.service\n")
    assert root.found(script) == ["/etc/systemd/system/a.service:2"]


def test_a_packages_unit_that_a_link_of_the_package_enables(root: Root) -> None:
    root.write("/lib/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found() == []
    link = root.folder / "lib/systemd/system/multi-user.target.wants/a.service"
    link.parent.mkdir()
    link.symlink_to("../a.service")
    assert root.found() == ["/lib/systemd/system/a.service:2"]
    (root.folder / "etc/systemd/system").mkdir(parents=True)
    (root.folder / "etc/systemd/system/a.service").symlink_to("/dev/null")
    assert root.found() == []


@pytest.mark.parametrize("script", [WRITERS, COMMANDS])
@pytest.mark.parametrize("folder", ["/var/spool/cron/atjobs", "/var/spool/at"])
def test_a_job_of_at(root: Root, script: str, folder: str) -> None:
    root.write(f"{folder}/a0000101c00", f"#!/bin/sh\n{OFF}\n", 0o700)
    root.write("/lib/systemd/system/atd.service", "[Service]\nExecStart=/usr/sbin/atd -f\n")
    assert root.found(script) == []
    root.enable("atd.service")
    assert root.found(script) == [f"{folder}/a0000101c00:2"]


def test_a_line_of_modprobe_d(root: Root) -> None:
    root.write("/etc/modprobe.d/x.conf", f"install a /sbin/{OFF}\n")
    assert root.found() == ["/etc/modprobe.d/x.conf:1"]


def test_files_that_modprobe_d_only_names(root: Root) -> None:
    root.write("/etc/modprobe.d/x.conf", "# See @/etc/sysctl.d/x.conf\noptions a b=1\n")
    root.write("/etc/sysctl.d/x.conf", "net.ipv4.ip_forward = 0\n")
    assert root.found() == []


def test_firewallds_line_of_modprobe_d(root: Root) -> None:
    """As its packages bring it: sysctl(8) with a pattern sets no parameter beyond it."""
    root.write(
        "/etc/modprobe.d/firewalld-sysctls.conf",
        "install nf_conntrack /usr/sbin/modprobe --ignore-install nf_conntrack $CMDLINE_OPTS && "
        "/usr/sbin/sysctl --quiet --pattern 'net[.]netfilter[.]nf_conntrack.*' --system\n",
    )
    root.write("/etc/sysctl.conf", "net.ipv4.ip_forward = 0\n")
    assert root.found() == []


@pytest.mark.parametrize(
    "command",
    ['"@/opt/my site/boot" -x', "'@/opt/my site/boot'", r"@/opt/my\x20site/boot"],
    ids=["quotes", "single-quotes", "escape"],
)
def test_a_program_whose_path_has_blanks(root: Root, command: str) -> None:
    root.write("/opt/my site/boot", f"#!/bin/sh\n{OFF}\n", 0o755)
    root.write("/etc/systemd/system/a.service", f"[Service]\nExecStart=-{command}\n")
    root.enable("a.service")
    done = root.ran(COMMANDS)
    assert done.returncode == 3
    assert "has a program whose name has blanks" in done.stderr


@pytest.mark.parametrize(
    "line",
    [
        'ExecStart=/bin/sh -c "/usr/bin/x --y"',
        "ExecStart=/bin/sh -c '/usr/bin/x --y'",
        'ExecStart=/usr/bin/x --file="/etc/a b"',
        'ExecStart=/usr/bin/env "/usr/bin/x"',
        'ExecStart="/usr/bin/x" "/etc/a b"',
        r'ExecStart=/bin/sh -c "/usr/bin/x a\x20b"',
        '  RUN+="/usr/bin/x --y"',
    ],
    ids=["shell", "single-quotes", "option", "env", "second-word", "escape", "no-command"],
)
def test_quoted_words_of_a_program_whose_path_has_none(root: Root, line: str) -> None:
    root.write("/etc/systemd/system/a.service", f"[Service]\n{line}\n")
    root.enable("a.service")
    assert root.found(COMMANDS) == []


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


@pytest.mark.parametrize("script", [WRITERS, COMMANDS])
def test_a_crontab_that_debians_cron_passes_over(root: Root, script: str) -> None:
    for name in ("com.example-job", "site", "site.disabled"):
        root.write(f"/etc/cron.d/{name}", f"@reboot root {OFF}\n")
    assert len(root.found(script)) == 3
    root.write("/usr/sbin/cron", "")
    assert root.found(script) == ["/etc/cron.d/com.example-job:1", "/etc/cron.d/site:1"]


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


@pytest.mark.parametrize("folder", ["scripts/per-boot", "instance/boothooks", "instance/scripts"])
def test_scripts_of_cloud_init(root: Root, folder: str) -> None:
    root.write(f"/var/lib/cloud/{folder}/part-001", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found() == root.found(COMMANDS) == [f"/var/lib/cloud/{folder}/part-001:2"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("/etc/cron.d/site", "@reboot root cd @/opt/site && ./boot"),
        ("/etc/cron.d/site", "@reboot root cd @/opt/site; sh boot.sh"),
        ("/etc/systemd/system/a.service", "WorkingDirectory=@/opt/site\nExecStart=/bin/sh boot.sh"),
        ("/etc/systemd/system/a.service", "ExecStart=/bin/sh -c 'cd @/opt/site && ./boot'"),
        ("/etc/rc.local", "run-parts @/opt/site"),
        ("/etc/rc.local", "/usr/bin/nice site-boot --all"),
        ("/etc/systemd/system/a.service", "ExecStart=site-boot"),
    ],
)
def test_a_script_by_another_name_than_its_path(root: Root, file: str, line: str) -> None:
    for script in ("/opt/site/boot", "/opt/site/boot.sh", "/usr/local/sbin/site-boot"):
        root.write(script, f"#!/bin/sh\n{OFF}\n", 0o755)
    root.write("/opt/site/other", f"{OFF}\n")
    assert root.found() == root.found(COMMANDS) == []
    root.write(file, f"#!/bin/sh\n{line}\n", 0o755)
    root.enable("a.service")
    assert root.found()
    assert root.found() == root.found(COMMANDS)
    assert not any("other" in found for found in root.found())


def test_a_script_of_init_d(root: Root) -> None:
    root.write("/etc/rc2.d/S01site", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found() == root.found(COMMANDS) == ["/etc/rc2.d/S01site:2"]
    # systemd makes no unit of it where there is one of its name.
    root.write("/lib/systemd/system/site.service", "[Service]\n")
    assert root.found() == root.found(COMMANDS) == []


def test_a_folder_that_a_script_works_in(root: Root) -> None:
    text = "#!/bin/sh\ncd /proc/sys/net/ipv4\necho 0 >ip_forward\necho 0 >forwarding\n"
    root.write("/etc/rc.local", text, 0o755)
    assert root.found() == ["/etc/rc.local:2", "/etc/rc.local:3"]


def test_networkd(root: Root) -> None:
    root.write("/etc/systemd/network/lan.network", "[Network]\nIPv4Forwarding=no\n")
    assert root.found() == []
    root.enable("systemd-networkd.service")
    assert root.found() == ["/etc/systemd/network/lan.network:2"]


def test_a_unit_of_a_package_and_its_script(root: Root) -> None:
    root.write("/lib/systemd/system/other.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found() == []
    root.enable("other.service")
    assert root.found() == ["/lib/systemd/system/other.service:2"]


@pytest.mark.parametrize("folder", ["cron.hourly", "cron.daily", "cron.weekly", "cron.monthly"])
def test_a_script_of_cron(root: Root, folder: str) -> None:
    root.write(f"/etc/{folder}/hard", f"#!/bin/sh\n{OFF}\n")
    assert root.found() == []
    root.write(f"/etc/{folder}/hard", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found() == root.found(COMMANDS) == [f"/etc/{folder}/hard:2"]


@pytest.mark.parametrize(
    ("trigger", "line"),
    [
        ("a.timer", "Unit=b.service"),
        ("a.socket", "Service=b.service"),
        ("a.path", "Unit=b.service"),
    ],
)
def test_a_unit_that_a_timer_of_another_name_starts(root: Root, trigger: str, line: str) -> None:
    root.write("/etc/systemd/system/b.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found(COMMANDS) == []
    root.write(f"/etc/systemd/system/{trigger}", f"[X]\n{line}\n")
    assert root.found(COMMANDS) == []
    root.enable(trigger)
    assert root.found(COMMANDS) == ["/etc/systemd/system/b.service:2"]
    assert root.found() == ["/etc/systemd/system/b.service:2"]


def test_a_unit_that_another_one_of_the_site_pulls_in(root: Root) -> None:
    root.write("/etc/systemd/system/third.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    root.write("/etc/systemd/system/two.service", "[Unit]\nRequires=third.service\n")
    root.write("/etc/systemd/system/one.service", "[Unit]\nWants=x.target two.service\n")
    assert root.found(COMMANDS) == []
    root.enable("one.service")
    assert root.found(COMMANDS) == ["/etc/systemd/system/third.service:2"]


def test_a_unit_that_a_targets_drop_in_alone_pulls_in(root: Root) -> None:
    root.write("/lib/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found(COMMANDS) == []
    root.write("/etc/systemd/system/multi-user.target.d/x.conf", "[Unit]\nWants=a.service\n")
    assert root.found(COMMANDS) == ["/lib/systemd/system/a.service:2"]


def test_a_drop_in_of_a_package_that_the_sites_replaces(root: Root) -> None:
    folder = "systemd/system/a.service.d"
    root.write("/lib/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    root.enable("a.service")
    root.write(f"/lib/{folder}/x.conf", f"[Service]\nExecStart=\nExecStart=/sbin/{OFF}\n")
    every = [
        "/lib/systemd/system/a.service:2",
        f"/lib/{folder}/x.conf:2",
        f"/lib/{folder}/x.conf:3",
    ]
    assert root.found(COMMANDS) == every
    root.write(f"/etc/{folder}/x.conf", "[Service]\n")
    assert root.found(COMMANDS) == every[:1]


@pytest.mark.parametrize("folder", ["service.d", "a@.service.d", "a@one.service.d"])
def test_a_drop_in_of_many_units_or_of_an_instance(root: Root, folder: str) -> None:
    root.write("/lib/systemd/system/a@.service", "[Service]\n")
    root.enable("a@one.service")
    text = f"[Service]\nExecStartPre=/sbin/{OFF}\n"
    root.write(f"/etc/systemd/system/{folder}/x.conf", text)
    assert root.found(COMMANDS) == [f"/etc/systemd/system/{folder}/x.conf:2"]


@pytest.mark.parametrize("folder", ["system.control", "system", "system.attached"])
def test_a_drop_in_of_each_folder_of_the_site(root: Root, folder: str) -> None:
    root.write("/lib/systemd/system/a.service", "[Service]\n")
    root.enable("a.service")
    drop_in = f"/etc/systemd/{folder}/a.service.d/x.conf"
    root.write(drop_in, f"[Service]\nExecStartPost=/sbin/{OFF}\n")
    assert root.found() == root.found(COMMANDS) == [f"{drop_in}:2"]


def test_a_unit_of_a_portable_service(root: Root) -> None:
    unit = "/etc/systemd/system.attached/a.service"
    root.write(unit, f"[Service]\nExecStart=/sbin/{OFF}\n")
    assert root.found(COMMANDS) == []
    root.enable("a.service")
    assert root.found(COMMANDS) == [f"{unit}:2"]


@pytest.mark.parametrize("sign", ["=", " = ", "= -"])
def test_a_script_in_a_file_of_variables(root: Root, sign: str) -> None:
    text = f"[Service]\nEnvironmentFile{sign}@/etc/site.env\nExecStart=/bin/sh -c $BOOT\n"
    root.write("/etc/systemd/system/a.service", text)
    root.enable("a.service")
    root.write("/etc/site.env", "BOOT=@/opt/one\n")
    root.write("/opt/one", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found(COMMANDS) == ["/opt/one:2"]


@pytest.mark.parametrize(
    ("file", "odd"),
    [
        ("/var/lib/cloud/scripts/per-boot/my script", True),
        ("/etc/systemd/system-generators/a$b", True),
        ("/etc/NetworkManager/dispatcher.d/90 site", True),
        ("/etc/NetworkManager/dispatcher.d/90-site~", False),
        ("/etc/cron.daily/my script", False),  # run-parts passes these over
        ("/etc/network/if-up.d/a b", False),
    ],
)
def test_a_program_whose_name_has_blanks(root: Root, file: str, odd: bool) -> None:
    for unit in ("NetworkManager.service", "networking.service"):
        root.write(f"/lib/systemd/system/{unit}", "[Service]\n")
        root.enable(unit)
    root.write(file, f"#!/bin/sh\n{OFF}\n")
    assert root.ran(COMMANDS).returncode == 0
    root.write(file, f"#!/bin/sh\n{OFF}\n", 0o755)
    done = root.ran(COMMANDS)
    folder = f"{root.folder}{file.rpartition('/')[0]}"
    told = f"{folder} has a program whose name has blanks or other special characters"
    assert done.stderr.startswith(told) is odd
    assert done.returncode == (3 if odd else 0)


@pytest.mark.parametrize(
    ("unit", "file"),
    [
        ("networking.service", "/etc/network/interfaces"),
        ("networking.service", "/etc/network/if-up.d/site"),
        ("networking.service", "/etc/network/if-pre-up.d/site"),
        ("NetworkManager.service", "/etc/NetworkManager/dispatcher.d/90-site"),
        ("NetworkManager.service", "/etc/NetworkManager/dispatcher.d/pre-up.d/90-site"),
        ("networkd-dispatcher.service", "/etc/networkd-dispatcher/routable.d/site"),
    ],
)
def test_commands_of_a_manager_that_starts(root: Root, unit: str, file: str) -> None:
    root.write(file, f"{OFF}\n", 0o755)
    root.write(f"/lib/systemd/system/{unit}", "[Service]\n")
    assert root.found(COMMANDS) == []
    root.enable(unit)
    assert root.found(COMMANDS) == [f"{file}:1"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("/etc/udev/rules.d/9.rules", 'KERNEL=="zram0", RUN+="@/opt/one %k"'),
        ("/etc/cron.d/site", "*/5 * * * * root @/opt/one"),
        ("/etc/crontab", "@daily root @/opt/one"),
        ("/etc/rc.local", "/bin/sh @/opt/one"),
        ("/etc/systemd/system-generators/site", "@/opt/one"),
    ],
)
def test_a_script_that_a_line_names(root: Root, file: str, line: str) -> None:
    root.write("/opt/one", f"#!/bin/sh\n{OFF}\n", 0o755)
    assert root.found(COMMANDS) == []
    root.write(file, line.replace("@daily", "*daily") + "\n", 0o755)
    assert root.found(COMMANDS) == ["/opt/one:2"]


def test_a_file_that_a_script_names_is_no_script(root: Root) -> None:
    root.write("/etc/rc.local", "#!/bin/sh\ngrep x @/etc/site.conf\n", 0o755)
    root.write("/etc/site.conf", f"{OFF}\n")
    assert root.found(COMMANDS) == []


@pytest.mark.parametrize("script", [WRITERS, COMMANDS])
def test_a_host_with_many_programs_of_its_own(root: Root, script: str) -> None:
    for number in range(1500):  # their paths are more than one argument may have: 128 KiB
        root.write(f"/usr/local/bin/{'p' * 80}{number}", "")
    root.write("/usr/local/bin/site-run", f"#!/bin/sh\n{OFF}\n", 0o755)
    root.write("/etc/rc.local", "#!/bin/sh\nsite-run\n", 0o755)
    assert root.found(script) == ["/usr/local/bin/site-run:2"]


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("UUID=1-2 /data ext4 defaults", True),
        ("LABEL=data /data ext4 defaults", True),
        # udev writes some characters of a label in another way, as \\x2f.
        ("LABEL=/data /data ext4 defaults", False),
        ("/srv/gone.img /data ext4 loop", True),
        # What its program makes of these words is not known.
        ("/mnt/a:/mnt/b /data fuse.mergerfs defaults", False),
        ("/mnt/a:/mnt/b /data mergerfs defaults", False),
        ("/srv/gone /data fuse.bindfs defaults", False),
    ],
)
def test_a_line_of_fstab_whose_source_is_missing(root: Root, line: str, missing: bool) -> None:
    root.write("/dev/disk/by-uuid/3-4", "")
    root.write("/etc/fstab", f"UUID=3-4 /home ext4 defaults 0 2\n{line} 0 0\n")
    assert root.found(COMMANDS) == (["/etc/fstab:2"] if missing else [])


@pytest.fixture
def users_root() -> Iterator[Root]:
    """A folder that every user can search, for a script that runs as another one."""
    if os.getuid():
        pytest.skip("only root can run a script as another user")
    with TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Root(Path(folder))


BOTH = pytest.mark.parametrize("script", [WRITERS, COMMANDS], ids=["writers", "commands"])


@BOTH
def test_another_user_sees_an_ordinary_host(users_root: Root, script: str) -> None:
    users_root.write("/etc/systemd/system/a.service", "[Service]\nExecStart=/bin/sh @/opt/one\n")
    users_root.write("/opt/one", f"{OFF}\n")
    users_root.enable("a.service")
    users_root.write("/etc/rc.local", f"#!/bin/sh\n{OFF}\n", 0o755)
    users_root.write("/etc/cron.d/site", f"@reboot root {OFF}\n")
    (users_root.folder / "etc/systemd/system/b.service").symlink_to("/dev/null")
    (users_root.folder / "etc/systemd/system/c.service").symlink_to("/usr/lib/nowhere.service")
    (users_root.folder / "var/spool/cron").mkdir(parents=True)
    assert users_root.refused(script) == ""
    assert len(users_root.found(script, USER)) == 3
    assert users_root.found(script, USER) == users_root.found(script)


@BOTH
@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/cron.d/site", 0o600),
        ("/etc/crontab", 0o600),
        ("/etc/rc.local", 0o700),
        ("/etc/rc.local", 0o711),
        ("/etc/systemd/system/a.service", 0o600),
        ("/etc/systemd/system/a.service.d/x.conf", 0o600),
        ("/var/lib/cloud/scripts/per-boot/site", 0o700),
        ("/opt/one", 0o700),
    ],
)
def test_a_file_that_a_user_cannot_read(
    users_root: Root, script: str, path: str, mode: int
) -> None:
    users_root.write("/etc/systemd/system/a.service", "[Service]\nExecStart=/bin/sh @/opt/one\n")
    users_root.enable("a.service")
    users_root.write(path, f"[Service]\n{OFF}\n", mode)
    assert users_root.refused(script) == f"{path} {REFUSED}"
    assert users_root.ran(script).returncode == 0


def test_a_file_of_modprobe_d_that_a_user_cannot_read(users_root: Root) -> None:
    path = "/etc/modprobe.d/site.conf"
    users_root.write(path, f"install a /sbin/{OFF}\n", 0o600)
    assert users_root.refused(WRITERS) == f"{path} {REFUSED}"


@BOTH
@pytest.mark.parametrize(
    ("folder", "mode"),
    [
        ("/etc/cron.d", 0o700),
        ("/var/spool/cron", 0o700),
        ("/var/spool/cron/crontabs", 0o733),
        ("/var/lib/cloud/scripts/per-boot", 0o700),
        ("/etc/systemd/system", 0o700),
        ("/etc/systemd/system/a.service.d", 0o700),
        (WANTS, 0o700),
        ("/opt/site", 0o700),
    ],
)
def test_a_folder_that_a_user_cannot_search(
    users_root: Root, script: str, folder: str, mode: int
) -> None:
    text = "[Service]\nExecStart=/bin/sh @/opt/site/one\n"
    users_root.write("/etc/systemd/system/a.service", text)
    users_root.enable("a.service")
    users_root.write(f"{folder}/one", f"{OFF}\n")
    (users_root.folder / folder[1:]).chmod(mode)
    assert users_root.refused(script).startswith(f"{folder} is not readable by this user")


@BOTH
def test_a_script_of_an_instance_that_a_user_cannot_read(users_root: Root, script: str) -> None:
    text = "[Service]\nExecStart=@/opt/site/%i.sh\n"
    users_root.write("/etc/systemd/system/a@.service", text)
    users_root.enable("a@one.service")
    users_root.write("/opt/site/one.sh", f"{OFF}\n", 0o755)
    assert users_root.refused(script) == ""
    (users_root.folder / "opt/site").chmod(0o700)
    assert users_root.refused(script) == f"/opt/site {REFUSED}"


def test_a_file_of_variables_that_a_user_cannot_read(users_root: Root) -> None:
    text = "[Service]\nEnvironmentFile=@/etc/site.env\nExecStart=/bin/sh -c $BOOT\n"
    users_root.write("/etc/systemd/system/a.service", text)
    users_root.enable("a.service")
    users_root.write("/etc/site.env", "BOOT=/opt/one\n", 0o600)
    assert users_root.refused(COMMANDS) == f"/etc/site.env {REFUSED}"


@BOTH
def test_a_unit_behind_a_folder_that_a_user_cannot_search(users_root: Root, script: str) -> None:
    users_root.write("/opt/site/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    link = users_root.folder / "etc/systemd/system/a.service"
    link.parent.mkdir(parents=True)
    link.symlink_to(users_root.folder / "opt/site/a.service")
    users_root.enable("a.service")
    (users_root.folder / "opt/site").chmod(0o700)
    assert users_root.refused(script) == f"/opt/site {REFUSED}"


def test_a_folder_of_the_systems_units_that_a_user_cannot_search(users_root: Root) -> None:
    users_root.write("/lib/systemd/system/a.service", f"[Service]\nExecStart=/sbin/{OFF}\n")
    users_root.enable("a.service")
    folder = users_root.folder / "lib/systemd/system"
    folder.chmod(0o711)
    assert users_root.found(COMMANDS, USER) == ["/lib/systemd/system/a.service:2"]
    folder.chmod(0o700)
    assert users_root.refused(COMMANDS) == f"/lib/systemd/system {REFUSED}"


@BOTH
def test_a_script_that_no_boot_runs_need_not_be_read(users_root: Root, script: str) -> None:
    users_root.write("/etc/rc.local", f"#!/bin/sh\n{OFF}\n", 0o600)
    assert users_root.refused(script) == ""


@pytest.mark.parametrize(
    ("unit", "file"),
    [
        ("networking.service", "/etc/network/interfaces"),
        ("networking.service", "/etc/network/interfaces.d/lan"),
        ("NetworkManager.service", "/etc/NetworkManager/dispatcher.d/90-site"),
        ("networkd-dispatcher.service", "/etc/networkd-dispatcher/routable.d/site"),
        ("ufw.service", "/etc/ufw/ufw.conf"),
        ("tuned.service", "/etc/tuned/tuned-main.conf"),
        ("systemd-networkd.service", "/run/systemd/network/10-netplan-lan.network"),
    ],
)
def test_a_managers_file_that_a_user_cannot_read(users_root: Root, unit: str, file: str) -> None:
    users_root.write(file, f"{OFF}\n", 0o600)
    assert users_root.refused(WRITERS) == ""
    users_root.enable(unit)
    assert users_root.refused(WRITERS) == f"{file} {REFUSED}"
