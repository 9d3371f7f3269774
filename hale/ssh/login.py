"""From the start of ssh to a shell that runs as the wanted user."""

import re
import time
from collections.abc import Callable

from msgspec import Struct

from hale.ssh import client
from hale.ssh.process import SshProcess
from hale.ssh.remote_shell import password_prompt
from hale.ssh.target import BecomeFailed, HostUnreachable, Target

# ssh's own message about a timeout is better than ours: let it come first.
_GRACE = 0.5
# Banners and start-up files may print what they like before the shell is there; kept is this.
MAX_BANNER = 1 << 16


class LoginResult(Struct, frozen=True):
    """Who we are on the host, and the host key that ssh knew; see Session."""

    login_user: str
    effective_user: str
    host_key: str | None


def log_in(
    link: SshProcess, target: Target, token: str, stop: Callable[[], bool]
) -> LoginResult | None:
    """Wait until the shell is there, giving sudo its password; None if `stop` came true.

    Raises HostUnreachable or BecomeFailed: at most connect_timeout seconds after ssh's start, and
    with sudo at most connect_timeout seconds after the login.
    """
    limit = target.connect_timeout + _GRACE
    began = time.monotonic()
    mark = token.encode("ascii")
    login_line = re.compile(rb"%s login (.*)\n" % mark)
    shell_line = re.compile(rb"%s shell (.*)\n" % mark)
    shell_mark = mark + b"\n"
    prompt = password_prompt(token).encode("ascii")
    login_user: str | None = None
    asked = False

    def refused(waited: float | None, wrong_password: bool = False) -> HostUnreachable:
        if target.become and login_user not in (None, target.become_user):
            return BecomeFailed(
                client.become_failure(target, bytes(link.err), waited, wrong_password)
            )
        # nologin(8) says why on standard output.
        said = bytes(link.err) or bytes(link.out)
        return HostUnreachable(client.login_failure(target, link.log(), said, waited))

    while not stop():
        if login_user is None and (found := login_line.search(link.out)):
            login_user = found[1].decode("utf-8", "replace")
            if target.become:
                # From here on it is sudo's time; PAM lets a wrong password wait for seconds.
                began = time.monotonic()
        if login_user is not None and (ready := shell_line.search(link.out)):
            at = link.err.find(shell_mark)
            if at >= 0:
                effective_user = ready[1].decode("utf-8", "replace")  # before `del` moves it
                del link.out[: ready.end()], link.err[: at + len(shell_mark)]
                return LoginResult(login_user, effective_user, client.host_key(link.log()))
        if target.become_password is not None and (at := link.err.find(prompt)) >= 0:
            if asked:
                raise refused(None, wrong_password=True)
            asked = True
            del link.err[: at + len(prompt)]
            link.to_send += target.become_password.encode() + b"\n"
        if link.ended:
            raise refused(None)
        left = began + limit - time.monotonic()
        if left <= 0:
            raise refused(time.monotonic() - began)
        for stream in (link.out, link.err):
            if len(stream) > MAX_BANNER:
                del stream[: -MAX_BANNER // 2]
        link.pump(left)
    return None
