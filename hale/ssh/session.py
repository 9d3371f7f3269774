"""A session on one host: runs commands over one ssh process and returns framed results."""

import os
import re
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field

from hale.model import budgets
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

#: Bytes of stdout and stderr together that one command may print; beyond it, OutputTooLarge.
OUTPUT_LIMIT = budgets.OUTPUT_BYTES

# Commands sent ahead while another one runs. Their bytes must fit the pipe in front of the
# executing shell, whose smallest size is a page (pipe(7)): if it were full, `cat` there would
# block in a write and not notice that we are gone.
_PIPELINE_DEPTH = 16
_PIPELINE_BYTES = 4096
OutputCallback = Callable[[bytes], None]
# Seconds a host may take to end a session after its standard input was closed.
_CLOSE_TIMEOUT = 2.0
# Seconds for the same once nothing needs to know how it ends: Ctrl-C ends a command within one.
_LEAVE_TIMEOUT = 0.3


def describe_command(command: str) -> str:
    """The command's first line, for messages; at most 80 characters."""
    first = command.strip().split("\n", 1)[0]
    return first if len(first) <= 80 else first[:79] + "…"


@dataclass(eq=False)
class _Request:
    command: bytes
    timeout: float
    stdin: bytes = field(default=b"", repr=False)
    on_output: OutputCallback | None = None
    simple: bool = False
    reported_up_to: int = 0
    future: "Future[CommandResult]" = field(default_factory=Future)
    nonce: bytes = b""
    line: bytes = b""
    began: float = 0.0
    too_large: bool = False

    def __post_init__(self) -> None:
        self.nonce = os.urandom(16).hex().encode()
        self.line = frame(self.command, self.nonce, self.stdin, self.simple)

    def summary(self) -> str:
        return describe_command(self.command.decode("utf-8", "replace"))


class Session:
    """The only connection to a host. Thread-safe; commands run one after the other.

    Each command runs in its own shell in the login user's home, with /dev/null as standard input
    unless it is given one. Background children live at most as long as the session, unless
    they start their own session (setsid, systemd-run). As with plain ssh, a command ends when
    every process that holds its stdout or stderr has ended.

    An unreachable host costs one attempt; after it, every command raises the same
    HostUnreachable. After a timeout or a lost connection, the next command reconnects. Commands
    that had not started stay queued; one that had started (or may have) is never run twice.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        #: "ssh-ed25519 SHA256:…" if ssh found the host's key in known_hosts, else None.
        self.host_key: str | None = None
        #: The user ssh logged in as, and the one commands run as; None before the login.
        self.login_user: str | None = None
        self.effective_user: str | None = None
        #: Number of ssh processes started.
        self.attempts = 0
        self._lock = threading.Lock()
        self._queued: deque[_Request] = deque()
        self._in_flight: deque[_Request] = deque()  # changed by the session's thread only
        self._unreachable: HostUnreachable | None = None
        self._closed = False
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = -1, -1
        self._out_searched = self._err_searched = 0  # bytes searched for the nonce
        self._before_8_7 = False  # the version of ssh
        self._stray = 0  # bytes on stderr that no command asked for

    def start(self) -> None:
        """Start connecting and return at once. `submit` and `run` do this themselves."""
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
        on_output: OutputCallback | None = None,
        simple: bool = False,
    ) -> CommandResult:
        """Run `command` and return its result; `timeout` in seconds from its start.

        stdin: its standard input; it appears in no process list and on no disk of the host.
        on_output: called with standard output as it arrives, without the last bytes, in the
        session's thread.
        simple: run by /bin/sh instead of the login shell; the caller guarantees that no process
        that holds the output outlives the command. This spares the host a dozen processes.

        Raises HostUnreachable (BecomeFailed, ConnectionLost), CommandTimeout, OutputTooLarge, and
        ValueError for a command or input that contains a NUL byte.
        """
        return self.submit(command, timeout, stdin, on_output, simple).result()

    def submit(
        self,
        command: str | bytes,
        timeout: float = 60.0,
        stdin: bytes = b"",
        on_output: OutputCallback | None = None,
        simple: bool = False,
    ) -> "Future[CommandResult]":
        """Queue `command` and return at once; the future's `result()` is what `run` returns.

        A command that is cancelled before it is sent does not run.
        """
        if isinstance(command, str):
            command = command.encode("utf-8", "surrogateescape")
        if b"\0" in command or b"\0" in stdin:
            raise ValueError("a command cannot contain a NUL byte, nor can its input")
        request = _Request(command, timeout, stdin, on_output, simple)
        with self._lock:
            if self._unreachable is not None:
                request.future.set_exception(_copy(self._unreachable))
            elif self._closed:
                request.future.set_exception(self._lost("the session is closed"))
            else:
                self._queued.append(request)
                self._start()
                self._wake()
        return request.future

    def close(self) -> None:
        """End the connection and all its processes; unfinished commands get ConnectionLost."""
        self.begin_close()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2 * _CLOSE_TIMEOUT)

    def begin_close(self) -> None:
        """As `close`, without waiting for the host, so that many can be closed at once."""
        with self._lock:
            self._closed = True
            self._wake()

    def _wake(self) -> None:  # with the lock
        if self._wake_write >= 0:
            with suppress(BlockingIOError):
                os.write(self._wake_write, b".")

    def _lost(self, why: str) -> ConnectionLost:
        return ConnectionLost(f"{self.target.name}: {why}")

    # Everything below runs in the session's thread.

    def _main(self) -> None:
        end: BaseException = self._lost("the session is closed")
        try:
            connect = True
            while connect and not self._closed:
                self._connect_and_serve()
                connect = self._wait_for_work()
        except HostUnreachable as error:
            end = error
        except BaseException as error:  # a bug must not leave callers waiting
            end = error
            raise
        finally:
            with self._lock:
                if isinstance(end, HostUnreachable) and not self._closed:
                    self._unreachable = end
                self._closed = True
                unfinished = [*self._in_flight, *self._queued]
                self._in_flight.clear()
                self._queued.clear()
                os.close(self._wake_read)
                os.close(self._wake_write)
                self._wake_write = -1
            for request in unfinished:
                if request.future.running() or request.future.set_running_or_notify_cancel():
                    request.future.set_exception(_copy(end))

    def _wait_for_work(self) -> bool:
        """Sleep until a command is queued; False if the session was closed instead."""
        while not self._closed:
            with self._lock:
                if self._queued:
                    return True
            select.select([self._wake_read], [], [])
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
        return False

    def _connect_and_serve(self) -> None:
        token = os.urandom(8).hex()
        self.attempts += 1
        process = SshProcess(self.target, token, self._wake_read, self._before_8_7)
        try:
            try:
                login = log_in(process, self.target, token, lambda: self._closed)
            except HostUnreachable:
                if self._before_8_7 or not client.is_before_8_7(process.log()):
                    raise
                self._before_8_7 = True  # it has not contacted the host; once more, without them
                self.attempts -= 1
                return
            if login is None:
                return
            self.login_user = login.login_user
            self.effective_user = login.effective_user
            self.host_key = login.host_key
            process.unlink_log()
            process.to_send += prologue(self.target)
            self._out_searched = self._err_searched = self._stray = 0
            self._serve(process)
        finally:
            process.close()

    def _serve(self, process: SshProcess) -> None:
        """Run commands until the connection ends, from either side."""
        while not process.ended and not self._closed:
            self._send(process)
            remaining: float | None = None
            if self._in_flight:
                running = self._in_flight[0]
                remaining = running.began + running.timeout - time.monotonic()
                if running.too_large:
                    return self._stop(process, running, self._output_error(running))
                if remaining <= 0:
                    return self._stop(process, running, self._timeout_error(running))
            process.pump(remaining)
            self._receive(process)
            if not self._in_flight:
                self._refuse_stray_output(process)
        return self._stop(process, None, None)

    def _refuse_stray_output(self, process: SshProcess) -> None:
        """End the connection to a host that prints what no command asked for.

        Nothing would read it, and there is no limit to it. A connection that is at its end may
        print a farewell. Raises ConnectionLost: whoever does this is not contacted again.
        """
        until = time.monotonic() + budgets.STRAY_SECONDS
        while True:
            self._stray += len(process.err)
            printed = len(process.out) or self._stray > budgets.STRAY_STDERR_BYTES
            process.err.clear()
            if not printed or process.ended or self._closed:
                process.out.clear()
                return
            remaining = until - time.monotonic()
            if remaining <= 0 or len(process.out) + self._stray > budgets.STRAY_STDERR_BYTES:
                raise self._lost(
                    "the host printed what no command asked for, so the connection was ended. "
                    "Look for what prints there after a command has ended."
                )
            process.pump(remaining)

    def _send(self, process: SshProcess) -> None:
        """Send the command to run now, and a few small ones ahead of their turn."""
        behind = sum(len(request.line) for request in self._in_flight) - (
            len(self._in_flight[0].line) if self._in_flight else 0
        )
        with self._lock:
            while self._queued and len(self._in_flight) <= _PIPELINE_DEPTH:
                request = self._queued[0]
                if self._in_flight:
                    behind += len(request.line)
                    if behind > _PIPELINE_BYTES:
                        break
                self._queued.popleft()
                future = request.future
                if not future.running() and not future.set_running_or_notify_cancel():
                    continue
                request.began = time.monotonic()
                self._in_flight.append(request)
                process.to_send += request.line

    def _receive(self, process: SshProcess) -> None:
        """Take complete frames from the received bytes and set the results of their futures.

        Raises ConnectionLost for a frame whose exit status is not a number.
        """
        while self._in_flight:
            request = self._in_flight[0]
            out_end = process.out.find(request.nonce, self._out_searched)
            err_end = process.err.find(request.nonce, self._err_searched)
            status_at = out_end + len(request.nonce)
            longest = status_at + budgets.STATUS_BYTES + 1
            line_end = process.out.find(b"\n", status_at, longest) if out_end >= 0 else -1
            status = bytes(process.out[status_at : line_end if line_end >= 0 else longest])
            incomplete = line_end < 0 and len(process.out) < longest
            if out_end < 0 or err_end < 0 or incomplete:
                self._out_searched = _searched_up_to(process.out, out_end, request.nonce)
                self._err_searched = _searched_up_to(process.err, err_end, request.nonce)
                if request.too_large or len(process.out) + len(process.err) > OUTPUT_LIMIT:
                    # The rest is discarded; only the end of the frame is searched for.
                    request.too_large = True
                    del process.out[: self._out_searched], process.err[: self._err_searched]
                    self._out_searched = self._err_searched = 0
                elif request.on_output is not None and self._out_searched > request.reported_up_to:
                    new = bytes(process.out[request.reported_up_to : self._out_searched])
                    request.reported_up_to = self._out_searched
                    request.on_output(new)
                return
            stdout, stderr = _start(process.out, out_end), _start(process.err, err_end)
            del process.out[: line_end + 1], process.err[: err_end + len(request.nonce)]
            self._out_searched = self._err_searched = 0
            now = time.monotonic()
            with self._lock:
                self._in_flight.popleft()
            if self._in_flight:
                self._in_flight[0].began = now
            if request.too_large:
                request.future.set_exception(self._output_error(request))
            elif _STATUS.fullmatch(status):
                duration = now - request.began
                request.future.set_result(
                    CommandResult(int(status), stdout, stderr, duration, request.began)
                )
            elif status:
                error = self._lost(
                    f"`{request.summary()}` ended with {status!r}, which is no exit status, so the "
                    "connection was ended. Check the host's /bin/sh."
                )
                request.future.set_exception(error)
                raise _copy(error)
            else:
                request.future.set_exception(
                    self._lost(
                        f"`{request.summary()}` killed the shell that waited for its exit status"
                    )
                )

    def _stop(self, process: SshProcess, culprit: _Request | None, why: Exception | None) -> None:
        """Close standard input, read the remaining output, and resolve every command in flight.

        `culprit` fails with `why`. Commands sent ahead go back to the queue if the host confirmed
        that all its output has arrived; otherwise their state is unknown.
        """
        process.close_stdin()
        until = time.monotonic() + (_LEAVE_TIMEOUT if self._closed else _CLOSE_TIMEOUT)
        # No command of ours runs there then, and the waiting shell sees its input end.
        idle = self._closed and not self._in_flight
        while not idle and not process.ended and (remaining := until - time.monotonic()) > 0:
            process.pump(remaining)
            self._receive(process)
            if not self._in_flight:
                process.out.clear()
                process.err.clear()
            if len(process.out) + len(process.err) > OUTPUT_LIMIT:
                break  # a part of the frame never comes
        log = process.log()
        certain = process.ended and client.exited_normally(log)
        with self._lock:
            stopped = list(self._in_flight)
            self._in_flight.clear()
            if certain and not self._closed:
                self._queued.extendleft(reversed(stopped[1:]))
                del stopped[1:]
        for request in stopped:
            if request is culprit and why is not None:
                request.future.set_exception(why)
            else:
                request.future.set_exception(self._connection_lost_error(request, log, culprit))

    def _timeout_error(self, request: _Request) -> CommandTimeout:
        return CommandTimeout(
            f"{self.target.name}: `{request.summary()}` did not end within {request.timeout:g} s "
            "and was stopped there. If it only needs longer, give it a longer timeout."
        )

    def _output_error(self, request: _Request) -> OutputTooLarge:
        return OutputTooLarge(
            f"{self.target.name}: `{request.summary()}` printed more than "
            f"{OUTPUT_LIMIT >> 20} MiB and was stopped there. Let it print less (head, grep, a "
            "file on the host)."
        )

    def _connection_lost_error(
        self, request: _Request, log: bytes, culprit: _Request | None
    ) -> ConnectionLost:
        if self._closed:
            why = "the session was closed"
        elif culprit is not None:
            why = f"`{culprit.summary()}` before it had to be stopped"
        elif client.exited_normally(log):
            why = "the session on the host ended (did the command kill it?)"
        else:
            why = client.last_log_line(log) or "ssh ended"
        return self._lost(
            f"the connection was lost during `{request.summary()}`: {why}. The command may have "
            "begun, so it is not run again; check on the host what it has done."
        )


_STATUS = re.compile(rb"[0-9]{1,3}")


def _start(stream: bytearray, end: int) -> bytes:
    """The stream's first bytes, copied once."""
    with memoryview(stream) as view:
        return bytes(view[:end])


def _searched_up_to(stream: bytearray, found: int, nonce: bytes) -> int:
    """The offset up to which a stream need not be searched for the nonce again."""
    return found if found >= 0 else max(0, len(stream) - len(nonce) + 1)


def _copy(error: BaseException) -> BaseException:
    """The same error for another caller: a traceback belongs to a single raise."""
    return type(error)(*error.args) if isinstance(error, HostUnreachable) else error
