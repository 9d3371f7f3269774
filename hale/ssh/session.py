"""A session on one host: commands in, framed results out, over one ssh process."""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from hale.ssh import client
from hale.ssh.login import log_in
from hale.ssh.process import SshProcess
from hale.ssh.remote_shell import frame, prologue
from hale.ssh.target import (
    CommandResult,
    CommandTimeout,
    ConnectionLost,
    HostUnreachable,
    OutputTooLarge,
    Target,
)

#: Bytes that one command may print, stdout and stderr together; more is OutputTooLarge.
OUTPUT_LIMIT = 64 << 20

# Commands on their way behind the one that runs. Their bytes must fit the pipe in front of the
# executing shell, whose smallest size is a page (pipe(7)): were it full, `cat` there would wait
# in a write and not see that we are gone.
_PIPELINE_DEPTH = 16
_PIPELINE_BYTES = 4096
OutputCallback = Callable[[bytes], None]
# How long a host may take to end a session after we hung up.
_HANG_UP = 2.0


def describe_command(command: str) -> str:
    """The command's first line, shortened, for messages."""
    first = command.strip().split("\n", 1)[0]
    return first if len(first) <= 80 else first[:79] + "…"


@dataclass(eq=False)
class _Request:
    command: bytes
    timeout: float
    stdin: bytes = field(default=b"", repr=False)
    told: OutputCallback | None = None
    plain: bool = False
    told_upto: int = 0
    future: "Future[CommandResult]" = field(default_factory=Future)
    nonce: bytes = b""
    line: bytes = b""
    began: float = 0.0
    too_large: bool = False

    def __post_init__(self) -> None:
        self.nonce = os.urandom(16).hex().encode()
        self.line = frame(self.command, self.nonce, self.stdin, self.plain)

    def shown(self) -> str:
        return describe_command(self.command.decode("utf-8", "replace"))


class Session:
    """The one connection to a host; thread-safe, commands run one after the other.

    Each command runs in a shell of its own in the login user's home, with standard input from
    /dev/null where it is given none. Background children that it leaves live at most as long as
    the session, unless they start a session of their own (setsid, systemd-run). As with plain ssh
    a command ends when everything that holds its stdout or stderr has.

    A host that cannot be reached costs one attempt, then every command raises the same
    HostUnreachable. After a timeout or a lost connection the next command connects again; commands
    that had not begun are kept, one that had (or may have) is never run twice.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        #: "ssh-ed25519 SHA256:…", if ssh found the host's key in known_hosts; else None.
        self.host_key: str | None = None
        #: The user ssh logged in as, and the one commands run as; None before the login.
        self.login_user: str | None = None
        self.effective_user: str | None = None
        #: How many ssh processes were started.
        self.attempts = 0
        self._lock = threading.Lock()
        self._waiting: deque[_Request] = deque()
        self._sent: deque[_Request] = deque()  # only the thread changes it
        self._down: HostUnreachable | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = -1, -1
        self._out_seen = self._err_seen = 0  # searched for the running command's nonce

    def start(self) -> None:
        """Begin to connect and return at once. `submit` and `run` do it by themselves."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._wake_read, self._wake_write = os.pipe()
            os.set_blocking(self._wake_read, False)
            os.set_blocking(self._wake_write, False)
            self._thread = threading.Thread(
                target=self._main, name=f"hale-{self.target.name}", daemon=True
            )
            self._thread.start()

    def run(
        self,
        command: str | bytes,
        timeout: float = 60.0,
        stdin: bytes = b"",
        told: OutputCallback | None = None,
        plain: bool = False,
    ) -> CommandResult:
        """Run `command` and return how it ended; `timeout` in seconds from when it begins.

        stdin: its standard input, which no process list and no disk of the host ever shows.
        told: is given standard output as it comes, in the session's thread; not the last bytes.
        plain: by /bin/sh instead of the login shell, and it leaves no process behind that holds
        its output. That spares the host a dozen processes.

        Raises HostUnreachable (BecomeFailed, ConnectionLost), CommandTimeout, OutputTooLarge, and
        ValueError for a command or input that contains a NUL byte.
        """
        return self.submit(command, timeout, stdin, told, plain).result()

    def submit(
        self,
        command: str | bytes,
        timeout: float = 60.0,
        stdin: bytes = b"",
        told: OutputCallback | None = None,
        plain: bool = False,
    ) -> "Future[CommandResult]":
        """Queue `command` and return at once; the future's `result()` is what `run` returns.

        A command that was cancelled before it was sent does not run.
        """
        if isinstance(command, str):
            command = command.encode("utf-8", "surrogateescape")
        if b"\0" in command or b"\0" in stdin:
            raise ValueError("a command cannot contain a NUL byte, nor can its input")
        job = _Request(command, timeout, stdin, told, plain)
        with self._lock:
            if self._down is not None:
                job.future.set_exception(_copy(self._down))
            elif self._closed:
                job.future.set_exception(self._lost("the session is closed"))
            else:
                self._waiting.append(job)
                self._start()
                self._wake()
        return job.future

    def close(self) -> None:
        """End the connection and all that runs in it; commands not yet done get ConnectionLost."""
        self.begin_close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * _HANG_UP)

    def begin_close(self) -> None:
        """As `close`, without waiting for the host; so that many can be closed at once."""
        with self._lock:
            self._closed = True
            self._wake()

    def _wake(self) -> None:  # with the lock
        if self._wake_write >= 0:
            with suppress(BlockingIOError):
                os.write(self._wake_write, b".")

    def _lost(self, why: str) -> ConnectionLost:
        return ConnectionLost(f"{self.target.name}: {why}")

    # What follows runs in the session's thread.

    def _main(self) -> None:
        end: BaseException = self._lost("the session is closed")
        try:
            connect = True
            while connect and not self._closed:
                self._connect_and_serve()
                connect = self._wait_for_work()
        except HostUnreachable as error:
            end = error
        except BaseException as error:  # a mistake of ours must not leave anybody waiting
            end = error
            raise
        finally:
            with self._lock:
                if isinstance(end, HostUnreachable) and not self._closed:
                    self._down = end
                self._closed = True
                left = [*self._sent, *self._waiting]
                self._sent.clear()
                self._waiting.clear()
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1
            for job in left:
                if job.future.running() or job.future.set_running_or_notify_cancel():
                    job.future.set_exception(_copy(end))

    def _wait_for_work(self) -> bool:
        """Sleep until a command is waiting; False when the session was closed instead."""
        while not self._closed:
            with self._lock:
                if self._waiting:
                    return True
            select.select([self._wake_read], [], [])
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        return False

    def _connect_and_serve(self) -> None:
        token = os.urandom(8).hex()
        self.attempts += 1
        link = SshProcess(self.target, token, self._wake_read)
        try:
            login = log_in(link, self.target, token, lambda: self._closed)
            if login is None:
                return
            self.login_user = login.login_user
            self.effective_user = login.effective_user
            self.host_key = login.host_key
            link.forget_log_name()
            link.to_send += prologue(self.target)
            self._out_seen = self._err_seen = 0
            self._serve(link)
        finally:
            link.close()

    def _serve(self, link: SshProcess) -> None:
        """Run commands until the connection is over, by itself or by us."""
        while not link.ended and not self._closed:
            self._send(link)
            left: float | None = None
            if self._sent:
                running = self._sent[0]
                left = running.began + running.timeout - time.monotonic()
                if running.too_large:
                    return self._stop(link, running, self._too_large(running))
                if left <= 0:
                    return self._stop(link, running, self._timed_out(running))
            link.pump(left)
            self._receive(link)
        return self._stop(link, None, None)

    def _send(self, link: SshProcess) -> None:
        """Send what may be on its way: the command to run now, and a few small ones behind it."""
        behind = sum(len(job.line) for job in self._sent) - (
            len(self._sent[0].line) if self._sent else 0
        )
        with self._lock:
            while self._waiting and len(self._sent) <= _PIPELINE_DEPTH:
                job = self._waiting[0]
                if self._sent:
                    behind += len(job.line)
                    if behind > _PIPELINE_BYTES:
                        break
                self._waiting.popleft()
                if not job.future.running() and not job.future.set_running_or_notify_cancel():
                    continue
                job.began = time.monotonic()
                self._sent.append(job)
                link.to_send += job.line

    def _receive(self, link: SshProcess) -> None:
        """Take complete frames out of what has come, and hand them to those who wait."""
        while self._sent:
            job = self._sent[0]
            out_end = link.out.find(job.nonce, self._out_seen)
            err_end = link.err.find(job.nonce, self._err_seen)
            status_at = out_end + len(job.nonce)
            line_end = link.out.find(b"\n", status_at) if out_end >= 0 else -1
            if line_end < 0 or err_end < 0:
                self._out_seen = _searched(link.out, out_end, job.nonce)
                self._err_seen = _searched(link.err, err_end, job.nonce)
                if job.too_large or self._out_seen + self._err_seen > OUTPUT_LIMIT:
                    # The rest is only looked through for its end.
                    job.too_large = True
                    del link.out[: self._out_seen], link.err[: self._err_seen]
                    self._out_seen = self._err_seen = 0
                elif job.told is not None and self._out_seen > job.told_upto:
                    new = bytes(link.out[job.told_upto : self._out_seen])
                    job.told_upto = self._out_seen
                    job.told(new)
                return
            status = bytes(link.out[status_at:line_end])
            stdout, stderr = bytes(link.out[:out_end]), bytes(link.err[:err_end])
            del link.out[: line_end + 1], link.err[: err_end + len(job.nonce)]
            self._out_seen = self._err_seen = 0
            now = time.monotonic()
            with self._lock:
                self._sent.popleft()
            if self._sent:
                self._sent[0].began = now
            if job.too_large:
                job.future.set_exception(self._too_large(job))
            elif status:
                job.future.set_result(CommandResult(int(status), stdout, stderr, now - job.began))
            else:
                job.future.set_exception(
                    self._lost(f"`{job.shown()}` killed the shell that waited for its exit status")
                )

    def _stop(self, link: SshProcess, culprit: _Request | None, why: Exception | None) -> None:
        """Hang up, read what still comes, and settle every command that was on its way.

        `culprit` fails with `why`. Commands behind the one that ran go back to the queue, if the
        host has told us that all its output has arrived; otherwise nobody can know.
        """
        link.hang_up()
        until = time.monotonic() + _HANG_UP
        # Nothing of ours runs there then, and the shell that waits sees its input end.
        idle = self._closed and not self._sent
        while not idle and not link.ended and (left := until - time.monotonic()) > 0:
            link.pump(left)
            self._receive(link)
        log = link.log()
        certain = link.ended and client.exited_normally(log)
        with self._lock:
            stopped = list(self._sent)
            self._sent.clear()
            if certain and not self._closed:
                self._waiting.extendleft(reversed(stopped[1:]))
                del stopped[1:]
        for job in stopped:
            if job is culprit and why is not None:
                job.future.set_exception(why)
            else:
                job.future.set_exception(self._why_lost(job, log, culprit))

    def _timed_out(self, job: _Request) -> CommandTimeout:
        return CommandTimeout(
            f"{self.target.name}: `{job.shown()}` did not end within {job.timeout:g} s and was "
            "stopped there. If it only needs longer, give it a longer timeout."
        )

    def _too_large(self, job: _Request) -> OutputTooLarge:
        return OutputTooLarge(
            f"{self.target.name}: `{job.shown()}` printed more than {OUTPUT_LIMIT >> 20} MiB and "
            "was stopped there. Let it print less (head, grep, a file on the host)."
        )

    def _why_lost(self, job: _Request, log: bytes, culprit: _Request | None) -> ConnectionLost:
        if self._closed:
            why = "the session was closed"
        elif culprit is not None:
            why = f"`{culprit.shown()}` before it had to be stopped"
        elif client.exited_normally(log):
            why = "the session on the host ended (did the command kill it?)"
        else:
            why = client.last_log_line(log) or "ssh ended"
        return self._lost(
            f"the connection was lost under `{job.shown()}`: {why}. The command may have begun, "
            "so it is not run again; see on the host what it has done."
        )


def _searched(stream: bytearray, found: int, nonce: bytes) -> int:
    """Up to where a stream need not be searched for the nonce again."""
    return found if found >= 0 else max(0, len(stream) - len(nonce) + 1)


def _copy(error: BaseException) -> BaseException:
    """The same error for another waiter: a traceback belongs to one raise only."""
    return type(error)(*error.args) if isinstance(error, HostUnreachable) else error
