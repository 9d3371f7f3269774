"""Secrets of a host that files and processes of it hold: they do not leave it.

What comes over the connection is searched, before hale/redact.py masks anything. Beside each secret
there is a line that a fact needs, which must come.
"""

import base64
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.audit.cases import build_cases
from hale.gather import RawResponse, gather_host, response
from hale.gather.disclosure import filter_program
from hale.gather.request import ProbeRequest, build_request, filter_of
from hale.inventory import ini
from hale.model.evidence import CommandProbe, Selection, matches
from hale.paths import ROOT
from hale.redact import redact
from hale.standard import loader
from lab.machine import Lab, LabHost
from tests.engine import local_gather

SECRET = "S3cr3tS3cr3t9"
KEY = f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END EC PRIVATE KEY-----\n"


@dataclass(frozen=True)
class Holding:
    """A file with secrets, S in its text; needed: what of it must come."""

    path: str
    text: str
    needed: str


FILES = {
    "fstab, cifs": Holding(
        "/etc/fstab",
        "//nas/x /mnt cifs username=ops,password=S 0 0\n/swapfile none swap sw 0 0\n",
        "/swapfile none swap",
    ),
    "fstab, a comment": Holding("/etc/fstab", "# curl -u ops:S\n/s none swap sw\n", "/s none swap"),
    "interfaces": Holding(
        "/etc/network/interfaces",
        "auto wlan0\niface wlan0 inet static\n  address 192.0.2.1/24\n  wpa-psk S\n  wep-key0 S\n"
        "  wireless-key1 s:S\n  post-up echo S | /opt/vpn\n  wpa-ssid \\\n S\n",
        "address 192.0.2.1/24",
    ),
    "apt, a proxy and its netrc": Holding(
        "/etc/apt/apt.conf.d/52site",
        'Acquire::http::Proxy "http://u:S@proxy:3128";\n// S\n'
        'Unattended-Upgrade::Automatic-Reboot "true";\n',
        'Automatic-Reboot "true"',
    ),
    "dnf-automatic": Holding(
        "/etc/dnf/automatic.conf",
        "[commands]\nreboot = when-needed\n[email]\nemail_password = S\n# S\n",
        "reboot = when-needed",
    ),
    "interfaces.d": Holding(
        "/etc/network/interfaces.d/wlan0", "auto wlan0\nwpa-password S\n", "auto wlan0"
    ),
    "NetworkManager": Holding(
        "/etc/NetworkManager/system-connections/office.nmconnection",
        "[connection]\nautoconnect=true\n[wifi-security]\npsk=S\n[802-1x]\npassword=S\npin=S\n"
        "private-key-password=S\n[vpn-secrets]\nanything=S\n",
        "autoconnect=true",
    ),
    "ifcfg": Holding(
        "/etc/sysconfig/network-scripts/ifcfg-wlan0", "KEY1=s:S\nONBOOT=yes\n", "ONBOOT=yes"
    ),
    "netplan": Holding(
        "/etc/netplan/a.yaml",
        "network:\n  wifis:\n    wlan0:\n      access-points:\n        x:\n          password: S\n"
        "      addresses: [192.0.2.1/24]\n",
        "addresses: [192.0.2.1/24]",
    ),
    "GRUB": Holding(
        "/boot/grub/grub.cfg",
        "password root S\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.S\n  linux /v ro quiet\n",
        "linux /v ro quiet",
    ),
    "GRUB's defaults": Holding(
        "/etc/default/grub", 'GRUB_ENCRYPTION=S\nGRUB_CMDLINE_LINUX="a"\n', 'GRUB_CMDLINE_LINUX="a"'
    ),
    "boot loader's entry": Holding(
        "/boot/loader/entries/a.conf", "sort-key S\noptions ro quiet\n", "options ro quiet"
    ),
    "kube-vip": Holding(
        "/etc/kubernetes/manifests/kube-vip.yaml",
        "kind: Pod\nspec:\n  containers:\n  - args:\n    - --bgppeers=192.0.2.1:65000:S\n    env:\n"
        "    - name: bgp_peerpass\n      value: S\n    - name: bgp_peers\n"
        '      value: "192.0.2.1:65000:S:false"\n    - name: address\n      value: 192.0.2.190\n',
        "value: 192.0.2.190",
    ),
    "HAProxy": Holding(
        "/etc/haproxy/haproxy.cfg",
        "userlist u\n  user joe insecure-password S\n  group a users joe # S\nlisten stats\n"
        '  stats auth admin:S\n  http-request set-header Authorization "Basic S"\n'
        "  http-check send hdr Cookie S\nbackend b\n  server m1 192.0.2.1:6443 check\n",
        "server m1 192.0.2.1:6443 check",
    ),
    "keepalived": Holding(
        "/etc/keepalived/keepalived.conf",
        "vrrp_instance VI {\n  authentication {\n    auth_type PASS\n    auth_pass S\n  }\n"
        '  notify "/x S"\n  virtual_ipaddress {\n    192.0.2.190/24\n  }\n}\n',
        "192.0.2.190/24",
    ),
    "HAProxy's checks": Holding(
        "/etc/haproxy/conf.d/10-checks.cfg",
        "backend b\n  option httpchk GET /readyz HTTP/1.1\\r\\nHost:\\ a\\r\\nX-Key:\\ S\n"
        '  http-check send meth GET uri /readyz hdr X-Key S hdr Host a body "S x"\n'
        "  http-check send uri /livez hdr Authorization Basic\\ S body S\\ S\n"
        "  tcp-check send GET\\ /readyz\\r\\nAuthorization:\\ Basic\\ S\\r\\n\n"
        "  tcp-check send AUTH\\ S\\r\\n\n  http-check send body S\n  server m1 192.0.2.1:1\n",
        "http-check send meth GET uri /readyz hdr X-Key ******** hdr Host a",
    ),
    "HAProxy's options": Holding(
        "/etc/default/haproxy",
        'STATS=S\nexport DB_PASSWORD=S\nEXTRAOPTS="-f /x --token=S"\nX=\\\nS\n',
        'EXTRAOPTS="-f /x',
    ),
    "HAProxy's unit": Holding(
        "/etc/systemd/system/haproxy.service",
        "[Service]\nEnvironment=STATS=S\nEnvironment=CONFIG=/x DB_PASSWORD=S\n"
        "ExecStartPre=/opt/x S\nExecStart=/usr/sbin/haproxy -f $CONFIG --password S\n",
        "ExecStart=/usr/sbin/haproxy -f $CONFIG",
    ),
    "keepalived's drop-in": Holding(
        "/etc/systemd/system/keepalived.service.d/a.conf",
        "[Service]\nEnvironment=SMTP=S\nExecStartPost=/opt/x S\nExecStart=\n",
        "ExecStart=",
    ),
    "keepalived's scripts": Holding(
        "/etc/keepalived/conf.d/scripts.conf",
        'vrrp_script api {\n  script "/usr/bin/curl -u joe:S https://a"\n  weight -5\n}\n'
        "vrrp_instance VI {\n  notify_master /x S\n  interface eth0\n}\n",
        "interface eth0",
    ),
    "a copy beside a static manifest": Holding(
        "/etc/kubernetes/manifests/kube-apiserver.yaml.bak",
        "kind: Pod\nmetadata:\n  annotations:\n    a: S\n  name: kube-apiserver\nspec:\n"
        "  containers:\n  - command: [a, --x=S]\n    env:\n    - name: KEY\n      value: S\n",
        "  name: kube-apiserver",
    ),
    "keepalived, in one line": Holding(
        "/etc/keepalived/keepalived.conf",
        "vrrp_instance VI {\n  authentication { auth_type PASS auth_pass S }\n}\n",
        "vrrp_instance VI {",
    ),
    "keepalived's options": Holding(
        "/etc/default/keepalived", 'TOKEN=S\nDAEMON_ARGS="--use-file=/x"\n', "--use-file=/x"
    ),
    "cloud-init": Holding(
        "/etc/cloud/cloud.cfg.d/90.cfg",
        "runcmd:\n- echo root:S | chpasswd\n- [curl, -u, 'u:S']\n- |\n  /opt/x S\n"
        "chpasswd:\n  list: |\n    root:S\nmanage_etc_hosts: false\n",
        "manage_etc_hosts: false",
    ),
    "cloud-init's user data": Holding(
        "/var/lib/cloud/instance/cloud-config.txt", f"hostname: a\nx: |\n{KEY}", "hostname: a"
    ),
    "containerd": Holding(
        "/etc/containerd/config.toml",
        '[plugins."io.containerd.grpc.v1.cri".registry.configs."r".auth]\n  username = "u"\n'
        '  password = "S"\n  identitytoken = "S"\n[a]\n  SystemdCgroup = true\n',
        "SystemdCgroup = true",
    ),
    "a unit of the site's": Holding(
        "/etc/systemd/system/backup.service",
        "[Unit]\nWants=firewalld.service\n[Service]\nEnvironment=RESTIC=S\n"
        "ExecStart=/opt/backup \\\n  --to=S\n",
        "Wants=firewalld.service",
    ),
    "a drop-in of the site's": Holding(
        "/etc/systemd/system/x.service.d/a.conf",
        "[Service]\nEnvironment=X=S\nRequires=a\n",
        "Requires=a",
    ),
    "containerd's proxy": Holding(
        "/etc/systemd/system/containerd.service.d/proxy.conf",
        '[Service]\nEnvironment="HTTP_PROXY=http://u:S@p:1"\nLimitNOFILE=5\n',
        "LimitNOFILE=5",
    ),
    "kubelet's variables": Holding(
        "/etc/systemd/system/kubelet.service.d/a.conf",
        '[Service]\nEnvironment=VAULT=S\nEnvironment="ARGS=--cgroup-driver=systemd"\n',
        "--cgroup-driver=systemd",
    ),
    "a drop-in for all services": Holding(
        "/etc/systemd/system/service.d/a.conf",
        "[Unit]\nDescription=S\n[Service]\nEnvironment=VAULT=S\nProtectKernelTunables=yes\n",
        "ProtectKernelTunables=yes",
    ),
    "kubelet's folder": Holding(
        "/etc/kubernetes/kubelet.conf.d/a.conf",
        "staticPodURLHeader:\n  Authorization: Bearer S\ncgroupDriver: systemd\n",
        "cgroupDriver: systemd",
    ),
    "kubelet's options": Holding(
        "/var/lib/kubelet/kubeadm-flags.env", "A='--token=S --fail-swap-on=false'\n", "swap-on"
    ),
    "kubelet's configuration": Holding(
        "/var/lib/kubelet/config.yaml",
        "staticPodURLHeader:\n  Authorization: Bearer S\nfailSwapOn: false\n",
        "failSwapOn: false",
    ),
    "sysctl": Holding(
        "/etc/sysctl.d/a.conf",
        "net.ipv6.conf.all.stable_secret = S\nnet.ipv4.ip_forward = 1\n",
        "net.ipv4.ip_forward = 1",
    ),
    "hosts": Holding(
        "/etc/hosts", "# http://ops:S@proxy\n192.0.2.190 vip\n# password: S\n", "192.0.2.190 vip"
    ),
    "limits": Holding(
        "/etc/security/limits.d/a.conf", "# token = S\n* - nofile 1\n", "* - nofile 1"
    ),
    "a key among settings": Holding(
        "/etc/modules-load.d/a.conf", f"{KEY}br_netfilter\n", "br_netfilter"
    ),
    "a key that is cut off": Holding("/etc/sysctl.d/a.conf", f"a = 1\n{KEY[:60]}", "a = 1"),
}
INVENTORY = """[masters]
m1 ansible_host=192.0.2.191
m2 ansible_host=192.0.2.192
[all:vars]
vip=192.0.2.190
vip_port=16443
vip_names="master.k8s.io k8s-vip"
endpoint_kind={kind}
hale_site=lab
"""


def request_of(folder: Path, kind: str) -> ProbeRequest:
    """All that is read of a master, with this kind of endpoint."""
    (folder / "inventory.ini").write_text(INVENTORY.format(kind=kind))
    known = ini.load_inventory(folder / "inventory.ini")
    standard = loader.load_standard(ROOT / "standard")
    return build_request(known.hosts[0], build_cases(known, standard, "extended", known.hosts))


def records(path: str, text: str) -> bytes:
    lines = text.encode().split(b"\n")[:-1]
    return b"".join(b"%s\0%d:%s\n" % (path.encode(), n, line) for n, line in enumerate(lines, 1))


def filtered(request: ProbeRequest, printed: bytes) -> bytes:
    return subprocess.run(
        ["sed", "-E", filter_of(request)],
        input=printed,
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    ).stdout


def filled(text: str) -> str:
    """With the secret for each S that stands alone."""
    return re.sub(r"(?<![A-Za-z_0-9])S(?![A-Za-z_0-9])", SECRET, text)


@pytest.mark.parametrize("name", FILES)
def test_a_secret_stays_on_the_host(name: str, tmp_path: Path) -> None:
    held = FILES[name]
    request = request_of(tmp_path, "kube-vip" if "kube-vip" in held.path else "keepalived")
    assert any(matches(held.path, pattern) for pattern in request.patterns), "it is not read"
    # Two files of the site's, one after the other: the second one has all of its lines.
    other = records("/etc/sysctl.d/z.conf", "kernel.z = 1\n")
    text = filled(held.text)
    assert text.count(SECRET) == max(
        1, held.text.count(SECRET) or len(re.findall(r"\bS\b", held.text))
    )
    sent = filtered(request, records(held.path, text) + other)
    assert SECRET.encode() not in sent
    assert held.needed.encode() in sent
    assert sent.endswith(other)
    assert sent.count(b"\n") == text.count("\n") + 1
    numbers = re.findall(rb"^[^\0]*\0(\d+):", sent, re.M)
    assert [int(n) for n in numbers[:-1]] == list(range(1, len(numbers)))


@pytest.mark.parametrize(
    ("complete", "selected", "path", "in_full"),
    [
        ("/etc/a.conf", "/etc/a.conf", "/etc/a.conf", True),
        ("/etc/a.conf", "/etc/*.conf", "/etc/a.conf", True),
        ("/etc/a.conf", "/etc/*.conf", "/etc/b.conf", False),
        ("/etc/*.conf", "/etc/a.conf", "/etc/a.conf", True),
        ("/etc/a*", "/etc/*.conf", "/etc/a.conf", True),
        ("/etc/a*", "/etc/*.conf", "/etc/b.conf", False),
        ("/etc/a", "/etc/*/a", "/etc/x/a", False),
        ("/*/a", "/etc/?", "/etc/a", True),
    ],
)
def test_a_file_that_a_probe_reads_in_full_comes_in_full(
    complete: str, selected: str, path: str, in_full: bool
) -> None:
    lines = filter_program({selected: [Selection("keep")]}, [complete])
    sent = subprocess.run(
        ["sed", "-E", lines],
        input=records(path, "keep\nother\n"),
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    ).stdout
    assert sent == records(path, "keep\nother\n" if in_full else "keep\n\n")


def test_what_goes_on_in_the_next_line(tmp_path: Path) -> None:
    """A line that is kept takes the next one with it; one that is not, does not let it count."""
    request = request_of(tmp_path, "keepalived")
    unit = "/etc/systemd/system/containerd.service.d/a.conf"
    text = "Environment=A \\\n# x\nLimitNOFILE=1\nLimitNOFILE= \\\n 2\nEnvironment=B\n"
    sent = filtered(request, records(unit, text)).decode()
    lines = [line.partition("\0")[2].partition(":")[2] for line in sent.split("\n")[:-1]]
    assert lines == ["_\\", "#", "LimitNOFILE=1", "LimitNOFILE= \\", " 2", ""]


@pytest.mark.parametrize(
    ("line", "sent_as"),
    [
        ("A=\\", "_\\"),
        ("A=\\\\", ""),
        ("A=\\\\\\", "_\\"),
        ("A=\\\r", "_\\"),
        ("\\", "_\\"),
        ("\\\\", ""),
    ],
)
def test_an_odd_number_of_backslashes_goes_on(line: str, sent_as: str, tmp_path: Path) -> None:
    unit = "/etc/systemd/system/containerd.service.d/a.conf"
    printed = records(unit, f"{line}\nLimitNOFILE=1\n")
    sent = filtered(request_of(tmp_path, "keepalived"), printed)
    assert sent == records(unit, f"{sent_as}\nLimitNOFILE=1\n")


@pytest.mark.parametrize("end", ["", ",", ";", "; ", ",\t"])
@pytest.mark.parametrize("name", ["db_password", "DB_PASSWORD", "MY_PWD", "dbPassword"])
def test_what_the_host_masks_is_what_is_masked_here(name: str, end: str, tmp_path: Path) -> None:
    line = f"{name}=hunter2x{end}"
    sent = filtered(request_of(tmp_path, "keepalived"), records("/etc/site.conf", f"{line}\n"))
    assert sent.rstrip() == records("/etc/site.conf", f"{redact(line)}\n").rstrip()
    assert b"hunter2x" not in sent


NAMES = (
    "password", "pass", "passphrase", "secret", "secret-access-key", "secret_key", "psk", "token",
    "identitytoken", "accesstoken", "refreshtoken", "api-key", "apikey", "certificate-key",
    "client-key-data", "presharedkey", "private_key", "account_key", "encryption-key",
    "access_key", "signature", "credential", "credentials", "dockerconfigjson", "dockercfg",
    "MY_PASSWORD", "MYTOKEN", "MYSECRET", "DB_PWD", "PWD_PWD", "dbPass", "dbSecret", "dbToken",
    "myApiKey", "theCertificateKey",
)  # fmt: skip


@pytest.mark.parametrize("between", ["=", ": ", " = ", '": ', "' : "])
def test_every_name_of_a_secret_is_masked_on_the_host(between: str) -> None:
    """Before redact() sees it, which would hide that the host has not."""
    lines = [f"x {name}{between}{SECRET}" for name in NAMES]
    sent = subprocess.run(
        ["sed", "-E", filter_program({}, [])],
        input="\n".join(lines),
        env={"LC_ALL": "C", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(sent) == len(NAMES)
    assert [name for name, line in zip(NAMES, sent, strict=True) if SECRET in line] == []


def test_a_secret_at_the_end_of_an_output_hides_no_frame() -> None:
    """What masks a word on the host stops before the next frame, which follows at once."""
    loud = "printf 'token: abcdef'; printf 'error: token: abcdef' >&2"
    commands = [CommandProbe(name, loud) for name in ("a", "b")]
    commands += [CommandProbe("slow", loud, slow=True), CommandProbe("last", loud)]
    found = local_gather.ask("/etc/hostname", commands=commands)
    assert not found.unreachable
    for name in ("a", "b", "slow", "last"):
        output = found.outputs[f"test.{name}"]
        assert (output.stdout, output.stderr) == ("token: ********", "error: token: ********")
        assert output.exit_status == 0


def test_lists_and_frames_are_not_changed(tmp_path: Path) -> None:
    request = request_of(tmp_path, "keepalived")
    listed = b"/etc/pam.d/password: x\0f\0f\0\0" + b"1.0\x002.0\0r\0/etc/fstab\0f\0f\0token=a\0\n"
    assert filtered(request, listed) == listed
    assert filtered(request, b"no newline") == b"no newline"


def test_the_first_line_of_the_first_file(tmp_path: Path) -> None:
    """It comes after the names of all files."""
    (tmp_path / "a").write_text(f"password={SECRET}\nx\n")
    came: list[bytes] = []

    def keep(printed: bytes) -> bytes:
        if not came:  # a busy machine's clock is read again, by a command of its own
            came.append(response.decode(printed, printed.partition(b"\n")[0]))
        return printed

    found = local_gather.ask(tmp_path / "a", shell=local_gather.Shell(spoil=keep))
    assert found.files[str(tmp_path / "a")].lines == ("password=********", "x")
    assert SECRET.encode() not in came[0]


class Recorder:
    """A connection to a host of the lab that keeps what comes over it."""

    name = "recorder"

    def __init__(self, lab: Lab, host: str) -> None:
        self._argv = ["ssh", "-F", str(lab.ssh_config), "-l", "root", host]
        self.came = b""

    def run_script(self, script: str, timeout: float) -> RawResponse:
        done = subprocess.run(
            self._argv, input=script.encode(), capture_output=True, timeout=timeout, check=False
        )
        token = re.match(r"echo (\w+)\n", script)
        if token:
            self.came += response.decode(done.stdout, token[1].encode()) + done.stderr
        else:  # the clock is read again
            self.came += done.stdout + done.stderr
        return RawResponse(done.stdout, done.stderr)


@pytest.fixture
def host(lab: Lab) -> Iterator[LabHost]:
    """A host as new, and then again."""
    lab["k8s-master-01"].reset()
    yield lab["k8s-master-01"]
    lab["k8s-master-01"].reset()


@pytest.mark.lab
def test_no_secret_comes_over_the_connection(lab: Lab, host: LabHost) -> None:
    """Of all files at once, of an environment, and of a command line."""
    by_path: dict[str, str] = {}
    for held in FILES.values():
        by_path.setdefault(held.path, filled(held.text))
    for path, text in by_path.items():
        encoded = base64.b64encode(text.encode()).decode()
        folder = shlex.quote(path.rpartition("/")[0])
        host.run(f"mkdir -p {folder}; echo {encoded} | base64 -d >{shlex.quote(path)}")
    host.run(f"PASSWORD={SECRET} setsid sh -c 'sleep 600; :' --x={SECRET} >/dev/null 2>&1 &")
    assert SECRET in host.run(f"cat /etc/fstab; grep -as {SECRET} /proc/*/environ").stdout.decode()
    known = ini.load_inventory(lab.inventory)
    standard = loader.load_standard(ROOT / "standard")
    one = next(h for h in known.hosts if h.name == host.name)
    cases = build_cases(known, standard, "extended", known.hosts)
    connection = Recorder(lab, host.name)
    evidence = gather_host(build_request(one, cases), connection, 60)
    assert not evidence.unreachable
    assert not evidence.files_error
    assert "kernel.z = 1" not in evidence.files["/etc/sysctl.d/a.conf"].lines
    assert "net.ipv4.ip_forward = 1" in evidence.files["/etc/sysctl.d/a.conf"].lines
    assert len(connection.came) > 10_000
    leaks = [line for line in connection.came.split(b"\n") if SECRET.encode() in line]
    assert b"\n".join(leaks) == b""
