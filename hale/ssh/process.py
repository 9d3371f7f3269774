"""One ssh process with its three pipes and its log."""

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from hale.model import budgets
from hale.ssh.client import ssh_argv, ssh_environment
from hale.ssh.target import HostUnreachable, Target

_CHUNK = 1 << 18
# Seconds that a ProxyCommand may hold our stderr after ssh has ended.
_STDERR_GRACE = 0.3


class SshProcess:
    """An ssh client, used by one thread. `wake`: a file descriptor that interrupts `pump`.

    `out` and `err` hold received bytes until they are consumed, `to_send` bytes not yet sent.
    Raises HostUnreachable if there is no ssh program.
    """

    def __init__(self, target: Target, token: str, wake: int, before_8_7: bool = False) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.to_send = bytearray()
        self.ended = False
        self._wake = wake
        self._out_ended_at: float | None = None
        # ssh opens its log by name, so a file exists for a moment: 0600 by mkstemp, removed
        # as soon as the connection is established or has failed.
        self._log, self._log_name = tempfile.mkstemp(prefix="hale-ssh-")
        try:
            self._process = subprocess.Popen(
                ssh_argv(target, token, self._log_name, before_8_7),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=ssh_environment(),
                # We handle Ctrl-C ourselves, and ssh must not prompt on the terminal.
                start_new_session=True,
            )
        except OSError as error:
            self.unlink_log()
            os.close(self._log)
            raise HostUnreachable(
                f"{target.name}: cannot start ssh ({error.strerror}). "
                "Install the OpenSSH client and make sure that `ssh` is in PATH."
            ) from error
        self._stdin = _pipe(self._process.stdin)
        self._stdout = _pipe(self._process.stdout)
        self._stderr = _pipe(self._process.stderr)
        self._in_fd = self._stdin.fileno()
        self._out_fd = self._stdout.fileno()
        self._err_fd = self._stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for fd in (self._in_fd, self._out_fd, self._err_fd):
            os.set_blocking(fd, False)
        for fd in (wake, self._out_fd, self._err_fd):
            self._selector.register(fd, selectors.EVENT_READ)
        self._writing = False
        self._stdin_closed = False

    def pump(self, timeout: float | None) -> None:
        """Transfer bytes until some arrive, at most `timeout` seconds (None: no limit).

        Sets `ended` once ssh has closed its side.
        """
        if self._out_ended_at is not None:
            grace = self._out_ended_at + _STDERR_GRACE - time.monotonic()
            if grace <= 0:
                self.ended = True
                return
            timeout = grace if timeout is None else min(grace, timeout)
        self._watch_input(bool(self.to_send))
        for key, _ in self._selector.select(None if timeout is None else max(0.0, timeout)):
            if key.fd == self._wake:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake, 4096)
            elif key.fd == self._in_fd:
                self._write()
            else:
                self._read(key.fd)

    def _watch_input(self, wanted: bool) -> None:
        if wanted == self._writing or self._stdin_closed:
            return
        if wanted:
            self._selector.register(self._in_fd, selectors.EVENT_WRITE)
        else:
            self._selector.unregister(self._in_fd)
        self._writing = wanted

    def _write(self) -> None:
        try:
            sent = os.write(self._in_fd, self.to_send[:65536])
        except BlockingIOError:
            return
        except BrokenPipeError:  # ssh has ended; the end of its output is handled by _read
            self.close_stdin()
            return
        del self.to_send[:sent]

    def _read(self, fd: int) -> None:
        data = os.read(fd, _CHUNK)
        if not data:
            self._selector.unregister(fd)
            if fd == self._out_fd:
                self._out_ended_at = time.monotonic()
            else:
                self._err_fd = -1
            self.ended = self._out_ended_at is not None and self._err_fd == -1
        elif fd == self._out_fd:
            self.out += data
        else:
            self.err += data

    def close_stdin(self) -> None:
        """Close ssh's input: the host then kills all processes of the session, and ssh ends."""
        if not self._stdin_closed:
            self._watch_input(False)
            self._stdin_closed = True
            self.to_send.clear()
            self._stdin.close()

    def log(self) -> bytes:
        """ssh's log so far: its first part, and the last 64 KiB if it is longer."""
        size = os.fstat(self._log).st_size
        first = os.pread(self._log, budgets.LOG_BYTES, 0)
        return first if size <= len(first) else first + os.pread(self._log, 1 << 16, size - 65536)

    def unlink_log(self) -> None:
        """Remove the log's name; its content stays readable through our file descriptor only."""
        Path(self._log_name).unlink(missing_ok=True)

    def close(self) -> None:
        """Kill ssh and everything it started here (ProxyCommand, ProxyJump)."""
        self.close_stdin()
        # The group id is the pid of ssh, which stays reserved until we wait for it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        self._stdout.close()
        self._stderr.close()
        self.unlink_log()
        os.close(self._log)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # because of subprocess.PIPE
    return stream
