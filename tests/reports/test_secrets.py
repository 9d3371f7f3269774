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
    # Words after a keyword, without a sign between them.
    "interfaces": f"    wpa-psk {SECRET}",
    "interfaces, quoted": f'    wpa-psk "a {SECRET}"',
    "interfaces, WEP": f"    wireless-key1 s:{SECRET}",
    "wep-key0": f"wep-key0 {SECRET}",
    "grub": f"    password root {SECRET}",
    "grub, PBKDF2": f"password_pbkdf2 root grub.pbkdf2.sha512.10000.{SECRET}",
    "netrc": f"machine nas login ops password {SECRET}",
    "LDAP": f"bindpw {SECRET}",
    "LDAP, root": f"rootpw {SECRET}",
    "Redis": f"requirepass {SECRET}",
    "Redis, its master": f"masterauth {SECRET}",
    "SNMP": f"rocommunity {SECRET} 10.0.0.0/8",
    "SNMP, version 3": f"createUser ops SHA {SECRET} AES {SECRET}",
    "keepalived, quoted": f'    auth_pass "a {SECRET}"',
    "HAProxy's header": f'    http-request set-header Authorization "Basic {SECRET}="',
    "HAProxy's header, escaped": f"    http-request set-header Authorization Basic\\ {SECRET}=",
    # Commands.
    "chpasswd": f"echo root:{SECRET} | chpasswd",
    "chpasswd, quoted": f"echo 'root:{SECRET}' | chpasswd -e",
    "chpasswd, here": f"chpasswd <<< root:{SECRET}",
    "passwd": f"echo {SECRET} | passwd --stdin root",
    "usermod": f"usermod -p {SECRET} root",
    "sshpass": f"sshpass -p {SECRET} ssh nas",
    "sshpass, without a blank": f"sshpass -p{SECRET} ssh nas",
    "htpasswd": f"htpasswd -bc /etc/h ops {SECRET}",
    "mysql": f"mysql -u root -p{SECRET} x",
    "redis-cli": f"redis-cli -a {SECRET} ping",
    "ldapsearch": f"ldapsearch -D cn=x -w {SECRET}",
    "ipmitool": f"ipmitool -H x -U ops -P {SECRET} power",
    "smbclient": f"smbclient //nas/x -U ops%{SECRET}",
    "openssl": f"openssl enc -aes-256-cbc -pass pass:{SECRET}",
    "curl's list": f'  command: [curl, -u, "ops:{SECRET}", https://x/]',
    "curl's list in JSON": f'["curl","--user","ops:{SECRET}"]',
    "curl, quoted": f"curl -u 'ops:a {SECRET}' https://x/",
    "a list of arguments": f'args: ["--password", "{SECRET}"]',
    "a list of arguments in YAML": f"    - --token\n    - {SECRET}",
    # Names and values apart.
    "a Pod's variable": f"    - name: bgp_peerpass\n      value: {SECRET}",
    "a Pod's variable, quoted": f'- name: "DB_PASSWORD"\n  value: "a {SECRET}"',
    "a Pod's variable, flow": f"env: [{{name: DB_PASSWORD, value: {SECRET}}}]",
    "a Pod's variable, JSON": f'{{"name": "apiToken", "value": "{SECRET}"}}',
    "a Pod's variable, JSON in lines": f'  "name": "apiToken",\n  "value": "{SECRET}"',
    # Names of secrets of other kinds.
    "Azure": f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={SECRET}==;x=1",
    "a signed URL": f"https://x/y?sv=1&sig={SECRET}%3D&x=1",
    "a signed URL of AWS": f"https://x/y?X-Amz-Signature={SECRET}&x=1",
    "a URL's token": f"https://x/y?access_token={SECRET}&x=1",
    "npm": f"//r/:_authToken={SECRET}",
    "npm, basic": f"_auth = {SECRET}==",
    "a cookie": f"Cookie: session={SECRET}; x=1",
    "etcd's encryption": f"      - name: key1\n        secret: {SECRET}==",
    "a Secret's login": f"  .dockerconfigjson: {SECRET}",
    "a Secret's key": f"  tls.key: {KEY}",
    "a key in base64": f"x {KEY} y",
    "a pin": f"pin={SECRET}",
    "credentials": f"credentials: ops:{SECRET}",
    # By their form, whatever their name.
    "GitHub": f"x ghp_{SECRET}{SECRET} y",
    "GitLab": f"x glpat-{SECRET}x y",
    "Slack": f"x xoxb-{SECRET}-{SECRET} y",
    "Slack's hook": f"https://hooks.slack.com/services/T0/B0/{SECRET}{SECRET}",
    "AWS, by entropy": "seed = wJalrXUtnFEMI/K7MDENG/bPxRfiCYS3cr3tKEY9",
    "by entropy": f"opaque: zQ7hP2m{SECRET}xV9kL4tB8",
    "by entropy, quoted": f'opaque "zQ7hP2m{SECRET}xV9kL4tB8"',
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
    "password required pam_deny.so",
    "-password   sufficient  pam_unix.so",
    "@include common-password",
    "    - name: DB_HOST\n      value: db.example.com",
    "    - name: TOKEN_FILE\n      value: /run/token",
    "pin_to_cpu = 3",
    "spring=1",
    "- name: token\n- name: value",
    "machine-id 0f4e9a7b1c2d4e5f8a9b0c1d2e3f4a5b",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "UUID=2F6C1a3b-7C1d-4E5f-8A9b-0C1d2E3f4A5b / ext4 defaults 0 1",
    "Name: kube-controller-manager-k8s-Master-01",
    "certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSURCVENDQWUyZ0F3SUJBZ0lJ",
    "-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIBAgIIQ7zQ9kL4tB8xV2mP1hS0wDQYJKoZIhvcNAQELBQAwFT\n"
    "-----END CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8xV2mP1hS0wQ7zQ9kL4tB8xV2mP1hS0wQ7z ops@x",
    "its key is SHA256:uNiVztksCsDhcc0u9e8BrqXJTs1Bfg3vhFqnGZ1kzQc, and another one is known",
    "ro rd.luks.uuid=luks-2F6C1A3b-7C1D-4E5F-8A9B-0C1D2E3F4A5B quiet",
    "/dev/disk/by-partuuid/2F6C1A3B-7C1D-4E5F-8A9B-0C1D2E3F4A5B none swap sw 0 0",
    "/dev/disk/by-id/nvme-Samsung_SSD_970_EVO_Plus_1TB_S4EWNX0R123456 none swap sw 0 0",
    "[curl, -u, ops]",
    "ls -la | passwd-less",
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
    given = (f"--inventory={lab.inventory}", "--hosts=k8s-node-01", "--connect-timeout=60")
    plain = factories.audit(tmp_path / "plain", given=given)
    for path, text in PLANT.items():
        quoted = text.replace("'", "'\\''")
        host.run(f"printf '%s\\n' '{quoted}' >>{path}")
    ran = factories.audit(tmp_path / "held", "-v", "--tb=long", given=given)
    names = [p.name for p in ran.folder.iterdir()]
    assert len(names) == 5
    for name in names:
        assert not revealed(ran.text(name)), name
    assert not revealed(ran.printed)
    # What is beside one is in the evidence; the options of a mount do not leave the host.
    evidence = ran.text("evidence.json")
    assert "net.ipv6.conf.all.stable_secret = ********" in evidence
    assert "username=ops" not in evidence
    rows = {(r.requirement, r.aspect): r for r in ran.results.results}
    winner = next(s for s in rows["SYS-IP-FORWARD", "persisted"].settings if s.wins)
    assert (winner.path, winner.line) == ("/etc/sysctl.d/99-held.conf", 1)
    swap = {(r.requirement, r.aspect): r.verdict for r in plain.results.results}
    for row in ("SWAP-OFF", "persisted"), ("SWAP-OFF", "runtime"):
        assert rows[row].verdict == swap[row]
