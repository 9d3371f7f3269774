"""From the start of ssh to a shell that runs as the wanted user."""

import re
import time
from collections.abc import Callable

from msgspec import Struct

from hale.ssh import client
from hale.ssh.process import SshProcess
from hale.ssh.remote_shell import password_prompt, shell_question
from hale.ssh.target import BecomeFailed, HostUnreachable, Target

# Seconds that ssh has to report a timeout itself; its message is better than ours.
_GRACE = 0.5
# Seconds that another shell has to name itself once the login has failed, and what connect_timeout
# adds to them.
_NAMING, _NAMING_SHARE = 0.3, 0.1
# Bytes kept of what banners and start-up files print before the shell is there.
MAX_BANNER = 1 << 16


class LoginResult(Struct, frozen=True):
    """The users on the host, and the host key if ssh knew it; see Session."""

    login_user: str
    effective_user: str
    host_key: str | None


def log_in(
    process: SshProcess, target: Target, token: str, stop: Callable[[], bool]
) -> LoginResult | None:
    """Wait until the shell is there, and give sudo its password; None once `stop` is true.

    A start-up file may have replaced the login shell before it has read our command (Debian's bash
    reads ~/.bashrc for a command that comes by ssh). The program that reads instead is named, if it
    is a shell.

    Raises HostUnreachable or BecomeFailed, at most connect_timeout seconds after the start of ssh,
    and with sudo at most connect_timeout seconds after the login; somewhat later if another shell
    is there.
    """
    limit = target.connect_timeout + _GRACE
    began = time.monotonic()
    mark = token.encode("ascii")
    login_line = re.compile(rb"%s login (.*)\n" % mark)
    shell_line = re.compile(rb"%s shell (.*)\n" % mark)
    shell_mark = mark + b"\n"
    prompt = password_prompt(token).encode("ascii")
    login_user: str | None = None
    password_sent = False

    def refused(waited: float | None, wrong_password: bool = False) -> HostUnreachable:
        if target.become and login_user not in (None, target.become_user):
            return BecomeFailed(
                client.become_failure(target, bytes(process.err), waited, wrong_password)
            )
        # nologin(8) explains itself on standard output.
        output = bytes(process.err) or bytes(process.out)
        missing = waited is not None and login_user is None
        other = _replaced_by(process, target, token, stop) if missing else ""
        return HostUnreachable(client.login_failure(target, process.log(), output, waited, other))

    while not stop():
        if login_user is None and (found := login_line.search(process.out)):
            login_user = found[1].decode("utf-8", "replace")
            if client.host_key_changed(process.log()) and not target.any_host_key:
                raise HostUnreachable(client.changed_key(target))
            if target.become:
                # sudo has its own timeout: PAM delays a wrong password for seconds.
                began = time.monotonic()
        if login_user is not None and (ready := shell_line.search(process.out)):
            at = process.err.find(shell_mark)
            if at >= 0:
                effective_user = ready[1].decode("utf-8", "replace")  # before the `del`
                del process.out[: ready.end()], process.err[: at + len(shell_mark)]
                return LoginResult(login_user, effective_user, client.host_key(process.log()))
        if target.become_password is not None and (at := process.err.find(prompt)) >= 0:
            if password_sent:
                raise refused(None, wrong_password=True)
            if client.host_key(process.log()) is None:
                raise BecomeFailed(client.unverified_password(target))
            password_sent = True
            del process.err[: at + len(prompt)]
            process.to_send += target.become_password.encode() + b"\n"
        if process.ended:
            raise refused(None)
        remaining = began + limit - time.monotonic()
        if remaining <= 0:
            raise refused(time.monotonic() - began)
        for stream in (process.out, process.err):
            if len(stream) > MAX_BANNER:
                del stream[: -MAX_BANNER // 2]
        process.pump(remaining)
    return None


def _replaced_by(process: SshProcess, target: Target, token: str, stop: Callable[[], bool]) -> str:
    """The program that reads what is for our shell; empty where none names itself, or at a stop."""
    if not client.is_logged_in(process.log()):
        return ""
    answer = re.compile(rb"%s by (.*)\n" % token.encode("ascii"))
    process.to_send += shell_question(token)
    end = time.monotonic() + _NAMING + _NAMING_SHARE * target.connect_timeout
    while not (process.ended or stop()) and (remaining := end - time.monotonic()) > 0:
        process.pump(remaining)
        if found := answer.search(process.out):
            return found[1].decode("utf-8", "replace")[:200]
        if len(process.out) > MAX_BANNER:
            break
    return ""
