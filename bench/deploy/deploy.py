"""What `invoke fix` brings about on the benchmark's hosts, as pyinfra's documentation advises it.

An operation for each thing where pyinfra has one, facts for what depends on the host's files.
Values come from Hale's standard, by the environment.
"""

import io
import json
import os
import re

from pyinfra import host
from pyinfra.facts.files import File, FindFiles, FindInFile
from pyinfra.operations import files, server, systemd

VALUES = json.loads(os.environ["BENCH_VALUES"])
VIP, NAMES = VALUES["vip"], VALUES["vip_names"]
MAIN = "/etc/security/limits.conf"
WORD = "[^#[:space:]][^[:space:]]*[[:space:]]+"
LIMIT = f"{WORD}(soft|hard|-)[[:space:]]+({'|'.join(VALUES['limits'])})[[:space:]].*"
MODULE = f"(blacklist|install)[[:space:]]+{VALUES['module']}.*"


def comment(path: str, pattern: str) -> None:
    """Comment the lines that are this."""
    files.replace(
        name=f"{path}: lines that must not count",
        path=path,
        text=f"^([[:space:]]*{pattern})$",
        replace="# \\1",
        extended_regex=True,
    )


def comment_all_but(path: str, pattern: str, right: list[str]) -> None:
    """Comment the lines that are this, each by its text, since sed has no `all but`."""
    for line in host.get_fact(FindInFile, path=path, pattern=pattern, extended_regex=True) or []:
        if line not in right and not line.startswith("root "):
            comment(path, re.sub(r"([][(){}.*+?^$|\\])", r"\\\1", line.strip()))


def in_folder(path: str, name: str) -> list[str]:
    """Files of that folder."""
    return host.get_fact(FindFiles, path=path, fname=name, maxdepth=1) or []


entry = f"{VIP} {NAMES}"
names = "|".join(re.escape(name) for name in [*NAMES.split(), VIP])
comment_all_but("/etc/hosts", f"^[^#].*\\b({names})\\b|^{re.escape(VIP)}\\b", [entry])
files.line(
    name="The VIP has its names", path="/etc/hosts", line=entry, escape_regex_characters=True
)
files.put(
    name="cloud-init leaves that alone",
    src=io.StringIO("manage_etc_hosts: false\n"),
    dest="/etc/cloud/cloud.cfg.d/zz-site.cfg",
)
server.hostname(name="The host has its name", hostname=host.name)

if host.get_fact(File, path="/usr/lib/systemd/system/firewalld.service"):
    systemd.service(
        name="firewalld does not run", service="firewalld", running=False, enabled=False
    )
    files.link(
        name="firewalld is masked",
        path="/etc/systemd/system/firewalld.service",
        target="/dev/null",
    )

files.line(
    name="SELinux does not enforce after a boot",
    path="/etc/selinux/config",
    line="^SELINUX=.*",
    replace=f"SELINUX={VALUES['selinux']}",
)

comment("/etc/fstab", f"{WORD}[^[:space:]]+[[:space:]]+swap([[:space:]].*)?")
for unit in in_folder("/etc/systemd/system", "*.swap"):
    systemd.service(
        name=f"{unit} is not enabled",
        service=unit.rpartition("/")[2],
        running=None,
        enabled=False,
    )
files.link(
    name="No service makes a swap of zram",
    path="/etc/systemd/system/zramswap.service",
    target="/dev/null",
)
files.link(
    name="No generator makes a swap of zram",
    path="/etc/systemd/system-generators/zram-generator",
    target="/dev/null",
)
systemd.daemon_reload(name="Reload systemd")

files.put(
    name="Kernel parameters are set at boot",
    src=io.StringIO("".join(f"{key} = {value}\n" for key, value in VALUES["sysctls"].items())),
    dest=VALUES["sysctl_file"],
)
for key, value in VALUES["sysctls"].items():
    server.sysctl(name=f"{key} is {value}", key=key, value=value)

files.put(
    name="The module is loaded at boot",
    src=io.StringIO(f"{VALUES['module']}\n"),
    dest=VALUES["module_file"],
)
for path in in_folder("/etc/modprobe.d", "*.conf"):
    comment(path, MODULE)

lines = [
    f"* {side} {item} {least}"
    for item, least in VALUES["limits"].items()
    for side in ("soft", "hard")
]
comment_all_but(MAIN, f"^[[:space:]]*{LIMIT}$", lines)
for path in in_folder("/etc/security/limits.d", "*.conf"):
    comment(path, LIMIT)
for line in lines:
    files.line(name=line, path=MAIN, line=line, escape_regex_characters=True)
