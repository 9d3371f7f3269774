"""The OpenSSH client: its arguments, and what its log says (ssh(1), ssh_config(5))."""

import math
import os
import re

from hale.ssh.remote_shell import login_command
from hale.ssh.target import Target


def ssh_argv(target: Target, token: str, log: str) -> list[str]:
    """The ssh process for one connection. Host key checking is as the user configured it."""
    words = ["ssh", "-T", "-E", log]
    for option in (
        # The host key, and why a login failed, are only said at this level.
        "LogLevel=DEBUG1",
        "BatchMode=yes",
        # A connection of our own: what we kill and count must not be a shared master.
        "ControlMaster=no",
        "ControlPath=none",
        # Of no use here, and a forwarding whose port is taken would end the connection.
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        f"ConnectTimeout={max(1, math.ceil(target.connect_timeout))}",
        # A host that vanishes in the middle is noticed after 15 s.
        "ServerAliveInterval=5",
        "ServerAliveCountMax=3",
    ):
        words += ["-o", option]
    for flag, value in (
        ("-F", target.ssh_config),
        ("-l", target.user),
        ("-p", target.port),
        ("-i", target.identity_file),
    ):
        if value is not None:
            words += [flag, str(value)]
    return [
        *words,
        *target.ssh_args,
        "--",
        target.address or target.name,
        login_command(target, token),
    ]


def ssh_environment() -> dict[str, str]:
    """The ssh process's environment: ours, but nobody's ~/.bashrc is read for a ProxyCommand.

    ssh has it run by the user's shell, with a socket for its input where ProxyUseFdpass is set. A
    bash that finds a socket there and no shell above takes itself for one that rshd has invoked
    (bash(1), "Invocation").
    """
    return {**os.environ, "SHLVL": os.environ.get("SHLVL", "").strip("0") or "1"}


_HOST_KEY = re.compile(rb"^debug1: Server host (?:key|certificate): (\S+ SHA256:[^\s,]+)", re.M)
_KEY_KNOWN = re.compile(rb"^debug1: Host '.*' is known and matches the ", re.M)


def host_key(log: bytes) -> str | None:
    """The host key's type and fingerprint, if the client knew this key to be this host's.

    None when it merely accepted an unknown key (`StrictHostKeyChecking accept-new` or `no`).
    """
    key = _HOST_KEY.search(log)
    return key[1].decode("ascii") if key and _KEY_KNOWN.search(log) else None


def exited_normally(log: bytes) -> bool:
    """Whether the host told us that the session ended: then all it had written has arrived."""
    return b" rtype exit-s" in log  # exit-status or exit-signal, RFC 4254 section 6.10


# What is logged without "debug" and yet is no reason for anything.
_NO_REASON = (
    "debug",
    "Authenticated to ",
    "Transferred: ",
    "Bytes per second: ",
    "Warning: Permanently added ",
    "OpenSSH_",
)


def last_log_line(log: bytes) -> str:
    """The last line of ssh's log that is meant for people; empty if there is none."""
    for line in reversed(log.decode("utf-8", "replace").splitlines()):
        # "FILE: terminating, 1 bad configuration options" comes after the line that says which.
        if line.strip() and not line.startswith(_NO_REASON) and ": terminating, " not in line:
            return line.strip()
    return ""


# The first that fits the log's last words, with the next step for the operator.
_HINTS = (
    (
        "Host key verification failed",
        "No key of this host is trusted yet: compare its fingerprint (on the host's console: "
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then add it to known_hosts",
    ),
    (
        "Permission denied",
        "The host refused the login: check user and key with `ssh -v`, and that ssh needs no "
        "password or passphrase (ssh-agent)",
    ),
    (
        "Too many authentication failures",
        "The agent offered too many keys: set IdentitiesOnly=yes and IdentityFile for this host",
    ),
    ("Could not resolve", "Check the host's name, or set ansible_host in the inventory"),
    ("Connection refused", "The host is up but nothing listens on that port: check sshd and port"),
    (
        "timed out",
        "The host is off, or a firewall drops the packets: check power, address and network",
    ),
    ("No route to host", "The host is off or in an unreachable network: check power and address"),
    ("Network is unreachable", "There is no route to that network: check VPN and routes"),
    (
        "Bad owner or permissions",
        "ssh refuses a configuration file that others can write: chmod 600 it",
    ),
    ("onfiguration option", "Correct that line of the ssh configuration"),
    ("open user config", "Check ssh_config in the inventory"),
    ("bad permissions", "ssh refuses a private key that others can read: chmod 600 it"),
    (
        "onnection closed",
        "Something answered and hung up: look at the host's sshd log (MaxStartups, fail2ban, "
        "AllowUsers), and whether the port is ssh at all",
    ),
    (
        "onnection reset",
        "Something answered and hung up: look at the host's sshd log (MaxStartups, fail2ban), and "
        "whether the port is ssh at all",
    ),
    ("banner", "What answers on that port is not an ssh server: check address and port"),
    ("identification", "What answers on that port is not an ssh server: check address and port"),
)
_KEY_CHANGED = (
    "The host shows another key than the one in known_hosts. If it was rebuilt, compare the new "
    "fingerprint on its console, then `ssh-keygen -R` the old one; if not, somebody may be in "
    "between"
)


def login_failure(target: Target, log: bytes, output: bytes, waited: float | None) -> str:
    """Why there is no login: ssh's own words and the next step, for a person.

    `output` is what was printed besides the log; `waited` the time in seconds after which we
    gave up, None if ssh ended by itself.
    """
    words = last_log_line(log)
    said = _last_line(output)
    authenticating = b"debug1: Authenticating to " in log
    logged_in = b"debug1: Entering interactive session" in log
    if logged_in:
        if waited is not None:
            words = f"logged in, but no shell was there after {waited:.1f} s"
        else:
            words = "logged in, but the login shell ended at once"
        step = "Try `ssh` by hand: login shell, its start-up files, PAM, ForceCommand"
    elif b"REMOTE HOST IDENTIFICATION HAS CHANGED" in log:
        step = _KEY_CHANGED
    else:
        if not words and waited is not None:
            words = f"{_stage(log)} timed out after {waited:.1f} s"
        words = words or "ssh ended without a word"
        step = next((step for part, step in _HINTS if part in words), "Try `ssh -v` by hand")
    # Before the login it is a ProxyCommand's, then come banners, after the login the shell's.
    if said and said not in words and (logged_in or not authenticating):
        words += f" ({said})"
    return f"{target.name}: {words}. {step}."


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").split("\n")
    return next((line.strip()[-300:] for line in reversed(lines) if line.strip()), "")


def _stage(log: bytes) -> str:
    if b"debug1: Authenticating to " in log:
        return "the login"
    if b"debug1: Local version string" in log or b"debug1: Connection established" in log:
        return "connected, but the ssh greeting"
    return "the connection"


_SUDO_STEPS = (
    ("a password is required", "Give the sudo password, or NOPASSWD in sudoers"),
    ("incorrect password", "The sudo password is wrong for this host"),
    ("must have a tty", "Remove `requiretty` from the host's sudoers for this user"),
    ("not in the sudoers", "Allow this user in the host's sudoers, or use another login"),
    ("not allowed", "Allow this user in the host's sudoers, or use another login"),
    ("not found", "sudo is not installed there: install it, or log in as the wanted user"),
    ("nknown user", "Check ansible_become_user in the inventory"),
)


def become_failure(
    target: Target, stderr: bytes, waited: float | None, wrong_password: bool
) -> str:
    """Why sudo did not give us the user, in its own words, and the next step."""
    words = _last_line(stderr) or "it said nothing"
    if wrong_password:
        words = "incorrect password"
    elif waited is not None:
        words = f"no answer after {waited:.1f} s"
    step = next(
        (step for part, step in _SUDO_STEPS if part in words),
        f"Try `sudo -u {target.become_user} true` on the host",
    )
    return f"{target.name}: sudo to {target.become_user} refused: {words}. {step}."
