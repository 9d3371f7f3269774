"""Secrets that files can hold: in no file and on no line of a report, and no verdict changes."""

import base64
import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hale.redact import redact
from lab import machine
from tests.reports import factories

SECRET = "S3cr3tS3cr3t9"
KEY = base64.b64encode(b"-----BEGIN EC PRIVATE KEY-----\n" + SECRET.encode() * 4).decode()
HELD = {
    "fstab": f"//nas/x /mnt cifs username=ops,password={SECRET},noauto 0 0",
    "fstab, short": f"//nas/x /mnt cifs user=ops,pass={SECRET} 0 0",
    "fstab, last": f"//nas/x /mnt cifs rw,password2=x,password={SECRET}\t0 0",
    "mount by URL": f"smb://ops:{SECRET}@nas/share",
    "mount by UNC": f"//ops:{SECRET}@nas/share",
    "proxy": f"http_proxy=http://ops:{SECRET}@proxy:3128",
    "proxy, quoted": f'export HTTPS_PROXY="http://ops:{SECRET}@proxy:3128/"',
    "proxy, a password with @": f"proxy=http://ops:{SECRET}@{SECRET}@proxy:3128/",
    "proxy, no user": f"redis://:{SECRET}@cache:6379/0",
    "systemd's proxy": f'Environment="HTTP_PROXY=http://ops:{SECRET}@proxy:3128"',
    "systemd's variable": f"Environment=DB_PASSWORD={SECRET}",
    "a variable with commas": f"export DB_PASSWORD={SECRET},{SECRET}",
    "keepalived": f"    auth_pass {SECRET}",
    "HAProxy's page": f"    stats auth admin:{SECRET}",
    "HAProxy's list": f"    user joe insecure-password {SECRET}",
    "HTTP header": f"Authorization: Bearer {SECRET}",
    "HTTP header, basic": f"authorization: Basic {SECRET}==",
    "curl": f"curl -sk -u ops:{SECRET} https://x/",
    "curl's header": f"curl -H 'Authorization: Bearer {SECRET}' https://x/",
    "a bearer in passing": f"sent bearer {SECRET} to x",
    "kubeadm": f"kubeadm join 10.0.0.1:6443 --token abcdef.{SECRET}",
    "kubeadm, more": f"kubeadm join --discovery-token abcdef.{SECRET} --certificate-key {SECRET}",
    "kubeadm's file": f"- token: abcdef.{SECRET}",
    "kubeadm's file, camel": f"  tlsBootstrapToken: abcdef.{SECRET}",
    "kubeconfig": f"    client-key-data: {KEY}",
    "kubeconfig, token": f"    token: {SECRET}",
    "YAML": f'password: "{SECRET} with blanks {SECRET}"',
    "YAML, flow": f"- {{name: ops, password: {SECRET}, shell: /bin/sh}}",
    "YAML, block": f"password: |\n  {SECRET}\n  {SECRET}\nnext: 1",
    "JSON": f'{{"username": "ops", "password": "{SECRET} \\" {SECRET}", "x": 1}}',
    "ini": f"proxy_password = {SECRET}, {SECRET}",
    "ini, in a comment": f"# proxy_password = {SECRET}, {SECRET}",
    "YAML, plain": f"  - password: {SECRET} and {SECRET}",
    "PostgreSQL": f"PGPASSWORD={SECRET} psql",
    "MySQL": f"MYSQL_PWD={SECRET}",
    "registry": f'{{"auths": {{"r": {{"auth": "{base64.b64encode(SECRET.encode()).decode()}"}}}}}}',
    "registry, containerd": f'  password = "{SECRET}"',
    "cloud keys": f"aws_secret_access_key = {SECRET}",
    "cloud-init": f"chpasswd:\n  list: |\n    root:{SECRET}\n    ops:{SECRET}\n  expire: False",
    "wireguard": f"PresharedKey = {SECRET}",
    "kernel": f"net.ipv6.conf.all.stable_secret = {SECRET}",
    "hash": f"root:$6$salt${SECRET}{SECRET}:19000:0",
    "yescrypt": f"ops:$y$j9T${SECRET}{SECRET}:1",
    "JSON web token": f"seen eyJhbGciOiJ9{SECRET}.eyJpc3MiOiJr{SECRET}.{SECRET} there",
    "PEM": f"a\n-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n"
    "-----END RSA PRIVATE KEY-----\nb",
    "PEM, cut off": f"a\n-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n{SECRET}",
    "PEM, one line": f'"key": "-----BEGIN PRIVATE KEY-----\\n{SECRET}\\n-----END PRIVATE KEY-----"',
}
OPEN = (
    "//nas/x /mnt cifs credentials=/etc/cifs.cred,noauto 0 0",
    "/swapfile none swap sw,pri=5 0 0",
    "UUID=2f6c none swap defaults 0 0",
    "passwd:         files systemd",
    "group:          files",
    "password\trequisite\t\t\tpam_pwquality.so retry=3",
    "password [success=1 default=ignore] pam_unix.so obscure use_authtok try_first_pass yescrypt",
    "PasswordAuthentication no",
    "PassSecurity=no",
    "bypass=1",
    "compass: north",
    "secret:\n  secretName: certs",
    "bootstrapTokens:\n- groups: [a]",
    "--enable-bootstrap-token-auth=true --authentication-token-webhook=true",
    "--discovery-token-ca-cert-hash sha256:0123456789abcdef",
    "--tls-private-key-file=/etc/kubernetes/pki/apiserver.key",
    "private_key = /etc/ssl/x.pem",
    "client-certificate-data: LS0tLS1CRUdJTiBDRVJU",
    "image: registry:5000/pause@sha256:0123",
    "https://master.k8s.io:16443/livez: see ops@example.com",
    "http://proxy:3128",
    "After=systemd-ask-password-console.path systemd-ask-password-wall.service",
    "net.ipv4.ip_forward = 1",
    "* soft nofile 65536",
    'echo "$1 $2 $HOME"',
    "token: ''",
    "OLDPWD=/root",
    "Password: ",
)


def revealed(text: str) -> bool:
    """Whether the secret is there, in clear or in base64."""
    return "S3cr3t" in text or KEY[8:24] in text or "UzNjcjN0" in text


@pytest.mark.parametrize("text", HELD.values(), ids=HELD)
def test_masked(text: str) -> None:
    assert revealed(text)
    masked = redact(text)
    assert not revealed(masked)
    assert "********" in masked
    assert masked.count("\n") == text.count("\n")
    assert redact(masked) == masked


def test_masked_among_others() -> None:
    """Each in the middle of a file of all of them, every line in its place."""
    text = "\n".join(f"# {number}\n{held}" for number, held in enumerate(HELD.values()))
    masked = redact(text)
    # The key that is cut off takes all that follows; it is the last but one.
    assert not revealed(masked)
    assert masked.count("\n") == text.count("\n")
    numbers = [n for n, line in enumerate(text.split("\n")) if re.fullmatch(r"# \d+", line)]
    kept = masked.split("\n")
    until = list(HELD).index("PEM, cut off")
    for number in numbers[: until + 1]:
        assert kept[number] == text.split("\n")[number]


@pytest.mark.parametrize("text", OPEN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_a_long_text_does_not_take_long() -> None:
    """No pattern is quadratic: the worst that a host could send, in hardly any time."""
    begun = time.process_time()
    for piece in ("password", "token: ", "a.b-c_", "//", "$6$", "://a:", "eyJ", "--token "):
        redact(piece * (200_000 // len(piece)))
    redact("x = y\n" * 100_000 + "password: x\n")
    assert time.process_time() - begun < 5


# --- masking and verdicts ---

CASES = sorted((factories.ROOT / "tests" / "facts").glob("*/*.toml"))


def texts(given: Any) -> list[str]:
    """Every text that a case gives for a file or an output."""
    if isinstance(given, dict):
        own = [v for k, v in given.items() if k in ("text", "stdout") and isinstance(v, str)]
        return own + [t for v in given.values() for t in texts(v)]
    return []


def test_no_reader_loses_anything() -> None:
    """Of all files and outputs on which the readers are tried, masking touches none."""
    count = 0
    for path in CASES:
        for text in texts(tomllib.loads(path.read_text())):
            count += 1
            if "secret" not in path.stem and "mask" not in path.stem:
                assert redact(text) == text, path
    assert count > 500


# --- a real audit of hosts that hold secrets ---

PLANT = {
    "/etc/fstab": HELD["fstab"],
    "/etc/sysctl.d/99-held.conf": f"net.ipv4.ip_forward = 1\n{HELD['kernel']}",
    "/etc/hosts": f"# {HELD['proxy']}\n10.208.1.190 master.k8s.io k8s-vip",
    "/etc/modules-load.d/held.conf": f"br_netfilter\n# {HELD['YAML']}",
    "/etc/security/limits.d/held.conf": f"* soft nofile 65536\n# {HELD['ini']}",
}


@pytest.mark.lab
def test_no_secret_of_a_host_is_in_a_report(lab: machine.Lab, tmp_path: Path) -> None:
    host = lab["k8s-node-01"]
    given = (f"--inventory={lab.inventory}", "--hosts=k8s-node-01")
    plain = factories.audit(tmp_path / "plain", given=given)
    for path, text in PLANT.items():
        quoted = text.replace("'", "'\\''")
        host.run(f"printf '%s\\n' '{quoted}' >>{path}")
    ran = factories.audit(tmp_path / "held", "-v", "--tb=long", given=given)
    names = [p.name for p in ran.folder.iterdir()]
    assert len(names) == 4
    for name in names:
        assert not revealed(ran.text(name)), name
    assert not revealed(ran.printed)
    # It was there to be seen: what stands beside it is in the evidence, on its own line.
    evidence = ran.text("evidence.json")
    assert "username=ops,password=********,noauto" in evidence
    rows = {(r.requirement, r.aspect): r for r in ran.results.results}
    winner = next(s for s in rows["SYS-IP-FORWARD", "persisted"].settings if s.wins)
    assert (winner.path, winner.line) == ("/etc/sysctl.d/99-held.conf", 1)
    swap = {(r.requirement, r.aspect): r.verdict for r in plain.results.results}
    for row in ("SWAP-OFF", "persisted"), ("SWAP-OFF", "runtime"):
        assert rows[row].verdict == swap[row]
