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
    login = _Login(process, target, token, stop)
    limit = target.connect_timeout + _GRACE
    began = time.monotonic()
    while not stop():
        if login.user is None and login.read_user() and target.become:
            # sudo has its own timeout: PAM delays a wrong password for seconds.
            began = time.monotonic()
        if login.user is not None and (result := login.read_shell()):
            return result
        if target.become_password is not None:
            login.answer_prompt(target.become_password)
        if process.ended:
            raise login.failure(None)
        remaining = began + limit - time.monotonic()
        if remaining <= 0:
            raise login.failure(time.monotonic() - began)
        for stream in (process.out, process.err):
            if len(stream) > MAX_BANNER:
                del stream[: -MAX_BANNER // 2]
        process.pump(remaining)
    return None


class _Login:
    """A login under way. user: who has logged in; None until the host has named it.

    token: starts each line of the host that is meant for us (remote_shell.sh). The methods raise
    HostUnreachable or BecomeFailed.
    """

    def __init__(
        self, process: SshProcess, target: Target, token: str, stop: Callable[[], bool]
    ) -> None:
        self.user: str | None = None
        self._process, self._target, self._token, self._stop = process, target, token, stop
        mark = token.encode("ascii")
        self._user_line = re.compile(rb"%s login (.*)\n" % mark)
        self._shell_line = re.compile(rb"%s shell (.*)\n" % mark)
        self._shell_mark = mark + b"\n"
        self._prompt = password_prompt(token).encode("ascii")
        self._password_sent = False

    def read_user(self) -> bool:
        """Whether the host has named the user, with the key that is known for it."""
        line = self._user_line.search(self._process.out)
        if line is None:
            return False
        if client.host_key_changed(self._process.log()) and not self._target.any_host_key:
            raise HostUnreachable(client.changed_key(self._target))
        self.user = line[1].decode("utf-8", "replace")
        return True

    def read_shell(self) -> LoginResult | None:
        """The result once the shell is there on both streams; what they had until then is gone."""
        process = self._process
        line = self._shell_line.search(process.out)
        at = process.err.find(self._shell_mark)
        if line is None or at < 0 or self.user is None:
            return None
        effective_user = line[1].decode("utf-8", "replace")  # before the `del`
        del process.out[: line.end()], process.err[: at + len(self._shell_mark)]
        return LoginResult(self.user, effective_user, client.host_key(process.log()))

    def answer_prompt(self, password: str) -> None:
        """Give sudo its password once, if it asks for it."""
        at = self._process.err.find(self._prompt)
        if at < 0:
            return
        if self._password_sent:
            raise self.failure(None, wrong_password=True)
        if client.host_key(self._process.log()) is None:
            raise BecomeFailed(client.unverified_password(self._target))
        self._password_sent = True
        del self._process.err[: at + len(self._prompt)]
        self._process.to_send += password.encode() + b"\n"

    def failure(self, waited: float | None, wrong_password: bool = False) -> HostUnreachable:
        """Why there is no shell. waited: seconds until the limit; None if ssh or sudo ended."""
        process, target = self._process, self._target
        if target.become and self.user not in (None, target.become_user):
            return BecomeFailed(
                client.become_failure(target, bytes(process.err), waited, wrong_password)
            )
        # nologin(8) explains itself on standard output.
        output = bytes(process.err) or bytes(process.out)
        missing = waited is not None and self.user is None
        other = _replaced_by(process, target, self._token, self._stop) if missing else ""
        return HostUnreachable(client.login_failure(target, process.log(), output, waited, other))


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
