"""The OpenSSH client: its arguments, and the meaning of its log (ssh(1), ssh_config(5))."""

import math
import os
import re

from hale.ssh.remote_shell import login_command
from hale.ssh.target import Target

# What ~/.ssh/config can say since OpenSSH 8.7, and before it cannot: a session must stay one.
_SINCE_8_7 = ("SessionType=default", "StdinNull=no", "ForkAfterAuthentication=no")


def ssh_argv(target: Target, token: str, log: str, before_8_7: bool = False) -> list[str]:
    """The arguments of ssh for one connection.

    Host key checking is as the user configured it, but `host_key_changed` is fatal. What could give
    the host the operator's keys, screen or network is off: agent (-a), X11 (-x), Kerberos tickets
    (-k), forwardings, tunnels.
    """
    words = ["ssh", "-T", "-a", "-x", "-k", "-E", log]
    for option in (
        *(() if before_8_7 else _SINCE_8_7),
        *(("StrictHostKeyChecking=no",) if target.any_host_key else ()),
        "Tunnel=no",
        "PermitLocalCommand=no",
        # The host key and the reason of a failed login are only logged at this level.
        "LogLevel=DEBUG1",
        "BatchMode=yes",
        # Not a shared master: the process we kill and count must carry our session only.
        "ControlMaster=no",
        "ControlPath=none",
        # Useless here, and a forwarding whose port is in use would end the connection.
        "ClearAllForwardings=yes",
        "RemoteCommand=none",
        f"ConnectTimeout={max(1, math.ceil(target.connect_timeout))}",
        # A host that disappears is detected after 15 s.
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
    """The ssh process's environment: ours, changed so that a ProxyCommand reads no ~/.bashrc.

    ssh runs a ProxyCommand with the user's shell, with a socket as standard input if
    ProxyUseFdpass is set. A bash whose standard input is a socket and whose SHLVL is below 1
    assumes that rshd invoked it, and reads ~/.bashrc (bash(1), "Invocation").
    """
    return {**os.environ, "SHLVL": os.environ.get("SHLVL", "").strip("0") or "1"}


_HOST_KEY = re.compile(rb"^debug1: Server host (?:key|certificate): (\S+ SHA256:[^\s,]+)", re.M)
_KEY_KNOWN = re.compile(rb"^debug1: Host '.*' is known and matches the ", re.M)
_KEY_CHANGED_LINE = b"REMOTE HOST IDENTIFICATION HAS CHANGED"
# A server can have lines of its own in the log, but it cannot keep ssh from writing these.
_KEY_UNKNOWN = (
    _KEY_CHANGED_LINE,
    b"Warning: Permanently added '",
    b"Failed to add the host to the list of known hosts",
)


def host_key(log: bytes) -> str | None:
    """The host key's type and fingerprint, if the client found this key in known_hosts.

    None if it accepted an unknown key (`StrictHostKeyChecking accept-new` or `no`).
    """
    key = _HOST_KEY.search(log)
    known = _KEY_KNOWN.search(log) and not any(line in log for line in _KEY_UNKNOWN)
    return key[1].decode("ascii", "backslashreplace") if key and known else None


def host_key_changed(log: bytes) -> bool:
    """Whether known_hosts has another key of it; ssh goes on with StrictHostKeyChecking=no."""
    return _KEY_CHANGED_LINE in log


def is_before_8_7(log: bytes) -> bool:
    """Whether ssh refused the options that it knows since 8.7."""
    names = (option.partition("=")[0].lower().encode() for option in _SINCE_8_7)
    return any(b"bad configuration option: " + name in log.lower() for name in names)


def exited_normally(log: bytes) -> bool:
    """Whether the host reported the end of the session: all of its output has then arrived."""
    return b" rtype exit-s" in log  # exit-status or exit-signal, RFC 4254 section 6.10


# Lines without "debug" that are not reasons for a failure either.
_NO_REASON = (
    "debug",
    "Authenticated to ",
    "Transferred: ",
    "Bytes per second: ",
    "Warning: Permanently added ",
    "OpenSSH_",
)


def last_log_line(log: bytes) -> str:
    """The last line of ssh's log that is meant for a person; "" if there is none."""
    for line in reversed(log.decode("utf-8", "replace").splitlines()):
        # "FILE: terminating, 1 bad configuration options" comes after the line that says which.
        if line.strip() and not line.startswith(_NO_REASON) and ": terminating, " not in line:
            return line.strip()
    return ""


# Part of the log's last line, and the next step for the operator; the first match counts.
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
        "The peer closed the connection: check the host's sshd log (MaxStartups, fail2ban, "
        "AllowUsers), and whether the port is an SSH port",
    ),
    (
        "onnection reset",
        "The peer reset the connection: check the host's sshd log (MaxStartups, fail2ban), and "
        "whether the port is an SSH port",
    ),
    ("banner", "That port does not speak SSH: check address and port"),
    ("identification", "That port does not speak SSH: check address and port"),
)
_KEY_CHANGED = (
    "The host key differs from the one in known_hosts. If the host was rebuilt, compare the new "
    "fingerprint on its console, then remove the old key with `ssh-keygen -R`; if not, this may be "
    "a man-in-the-middle attack"
)


def is_logged_in(log: bytes) -> bool:
    """Whether the host has begun to run our command."""
    return b"debug1: Entering interactive session" in log


def login_failure(
    target: Target, log: bytes, output: bytes, waited: float | None, other: str = ""
) -> str:
    """Why the login failed, in ssh's own words, and the next step for the operator.

    `output`: text printed besides the log. `waited`: seconds until we gave up; None if ssh ended
    by itself. `other`: the program that reads in the place of the login shell.
    """
    reason = last_log_line(log)
    detail = _last_line(output)
    authenticating = b"debug1: Authenticating to " in log
    logged_in = is_logged_in(log)
    if logged_in:
        if waited is not None:
            reason = f"logged in, but the shell did not start within {waited:.1f} s"
        else:
            reason = "logged in, but the login shell ended at once"
        step = "Run `ssh` yourself; check login shell, its start-up files, PAM, ForceCommand"
        if other:
            reason = f"logged in, but {other} reads what is for the login shell"
            step = (
                f"A start-up file of the login shell starts {other} (for bash ~/.bashrc): have it "
                "do so in interactive shells alone, `case $- in *i*) exec … ;; esac`"
            )
    elif host_key_changed(log):
        step = _KEY_CHANGED
    else:
        if not reason and waited is not None:
            reason = f"{_stage(log)} timed out after {waited:.1f} s"
        reason = reason or "ssh ended without a message"
        step = next((step for part, step in _HINTS if part in reason), "Run `ssh -v` yourself")
    # Before the login, the output is a ProxyCommand's; then come banners; after it, the shell's.
    if detail and detail not in reason and (logged_in or not authenticating):
        reason += f" ({detail})"
    return f"{target.name}: {reason}. {step}."


def changed_key(target: Target) -> str:
    """Why a host with another key is not used, although ssh would go on."""
    return (
        f"{target.name}: ssh's configuration lets it have any key (StrictHostKeyChecking=no), but "
        f"hale does not. {_KEY_CHANGED}. For a host that may have any key, set "
        "ansible_host_key_checking=false in the inventory."
    )


def unverified_password(target: Target) -> str:
    """Why sudo's password is not sent."""
    return (
        f"{target.name}: sudo asks for the password, which is not sent: the host key was not in "
        "known_hosts. Compare its fingerprint (on the host's console: ssh-keygen -lf "
        "/etc/ssh/ssh_host_ed25519_key.pub), add it, and run again."
    )


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
    ("not found", "sudo is not installed there: install it, or log in as the target user"),
    ("nknown user", "Check ansible_become_user in the inventory"),
)


def become_failure(
    target: Target, stderr: bytes, waited: float | None, wrong_password: bool
) -> str:
    """Why sudo did not switch to the user, in its own words, and the next step."""
    reason = _last_line(stderr) or "sudo printed nothing"
    if wrong_password:
        reason = "incorrect password"
    elif waited is not None:
        reason = f"no answer after {waited:.1f} s"
    step = next(
        (step for part, step in _SUDO_STEPS if part in reason),
        f"Try `sudo -u {target.become_user} true` on the host",
    )
    return f"{target.name}: sudo to {target.become_user} refused: {reason}. {step}."
