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

from hale.ssh.client import ssh_argv, ssh_environment
from hale.ssh.target import HostUnreachable, Target

_CHUNK = 1 << 18
# A ProxyCommand may hold our stderr a while after ssh itself has ended.
_STDERR_GRACE = 0.3


class SshProcess:
    """An ssh client; used by one thread. `wake` is a file descriptor that interrupts `pump`.

    `out` and `err` collect what came and was not taken yet, `to_send` what is still to go.
    Raises HostUnreachable when there is no ssh program.
    """

    def __init__(self, target: Target, token: str, wake: int) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.to_send = bytearray()
        self.ended = False
        self._wake = wake
        self._out_ended_at: float | None = None
        # ssh opens its log by name, so there is a file for a moment: 0600 by mkstemp, and gone
        # as soon as the connection stands or failed.
        self._log, self._log_name = tempfile.mkstemp(prefix="hale-ssh-")
        try:
            self._process = subprocess.Popen(
                ssh_argv(target, token, self._log_name),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=ssh_environment(),
                # Ctrl-C is for us to act on, and nobody is asked for anything on the terminal.
                start_new_session=True,
            )
        except OSError as error:
            self.forget_log_name()
            os.close(self._log)
            raise HostUnreachable(
                f"{target.name}: cannot start ssh ({error.strerror}). "
                "Install the OpenSSH client and see that `ssh` is in PATH."
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
        self._hung_up = False

    def pump(self, timeout: float | None) -> None:
        """Move bytes until something came, at most `timeout` seconds (None: as long as it takes).

        `ended` is set when ssh has closed its side.
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
        if wanted == self._writing or self._hung_up:
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
        except BrokenPipeError:  # ssh has ended; the end of its output tells the rest
            self.hang_up()
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

    def hang_up(self) -> None:
        """Close ssh's input: the host then kills all that runs in this session, and ssh ends."""
        if not self._hung_up:
            self._watch_input(False)
            self._hung_up = True
            self.to_send.clear()
            self._stdin.close()

    def log(self) -> bytes:
        """What ssh has logged so far: the first MiB, and the last 64 KiB if there is more."""
        size = os.fstat(self._log).st_size
        first = os.pread(self._log, 1 << 20, 0)
        return first if size <= len(first) else first + os.pread(self._log, 1 << 16, size - 65536)

    def forget_log_name(self) -> None:
        """Remove the log's name; what is in it stays readable to us, and to nobody else."""
        Path(self._log_name).unlink(missing_ok=True)

    def close(self) -> None:
        """End ssh and everything it started here (ProxyCommand, ProxyJump)."""
        self.hang_up()
        # The group has the number of ssh, which is ours as long as it is not waited for.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        self._stdout.close()
        self._stderr.close()
        self.forget_log_name()
        os.close(self._log)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # subprocess.PIPE was asked for
    return stream
