"""Reads everything a run needs from all hosts at once, with one script a host.

request.py builds the script, response.py parses what it prints, transports.py runs it.
"""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from hale.gather import response
from hale.gather.request import ProbeRequest, request_script
from hale.model.evidence import Evidence
from hale.model.reading_time import Stopwatch, TimeExceeded, limited
from hale.redact import redact

PAUSE = 0.5  # seconds
# How often the clock of a host whose answer may have been later than CLOCK_DELAY is read again; s.
CLOCK_READINGS, CLOCK_DELAY, CLOCK_TIMEOUT = 3, 0.25, 5.0


class RawResponse(Struct, frozen=True):
    """The output of a host's script; or, in `unreachable`, why there is none.

    sent: when the script was sent, by monotonic(3); 0 if that is not known.
    """

    stdout: bytes = b""
    stderr: bytes = b""
    unreachable: str = ""
    address: str = ""
    login_user: str = ""
    host_key: str = ""
    sent: float = 0.0


class Transport(Protocol):
    """A way to reach one host: our own connection, or a testinfra backend."""

    @property
    def name(self) -> str:
        """Its name in the evidence; testinfra's own for its backends, such as `ssh`."""

    def run_script(self, script: str, timeout: float) -> RawResponse:
        """Run the POSIX sh script once; `timeout` in seconds. Never raises.

        An unreachable host is a RawResponse too. A transport that passes its text to a login shell
        encodes it with `encode_for_login_shell`.
        """


def gather_hosts(
    requests: Sequence[tuple[ProbeRequest, Transport]],
    timeout: float,
    on_answer: Callable[[Evidence], None] = lambda evidence: None,
    while_waiting: Callable[[], None] = lambda: None,
    on_pause: Callable[[], None] = lambda: None,
) -> dict[str, Evidence]:
    """Read all hosts in parallel; `timeout` in seconds for each. Evidence by host name.

    `on_answer` is called with each host's evidence as it arrives, `while_waiting` once the
    requests have been sent, and `on_pause` where no host has answered for half a second since the
    last one: what has arrived can be saved while the slow ones are waited for.
    """
    # Daemon threads: with a pool, Ctrl-C would wait for the slowest host.
    answers: SimpleQueue[Evidence] = SimpleQueue()

    def gather_one(request: ProbeRequest, transport: Transport) -> None:
        try:
            answers.put(gather_host(request, transport, timeout))
        except Exception as error:  # a bug: the other hosts are judged nevertheless
            why = f"a bug in hale, please report it: {type(error).__name__}: {error}"
            answers.put(Evidence(request.host.name, read_at=time.time(), unreachable=redact(why)))

    for pair in requests:
        Thread(
            target=gather_one, args=pair, daemon=True, name=f"gather {pair[0].host.name}"
        ).start()
    while_waiting()
    found: dict[str, Evidence] = {}
    paused = True
    while len(found) < len(requests):
        try:
            evidence = answers.get(timeout=None if paused else PAUSE)
        except Empty:
            on_pause()
            paused = True
            continue
        found[evidence.host] = evidence
        on_answer(evidence)
        paused = False
    return {request.host.name: found[request.host.name] for request, _ in requests}


def gather_host(request: ProbeRequest, transport: Transport, timeout: float) -> Evidence:
    """One host's evidence; `unreachable` has the reason where there is no valid response."""
    token = secrets.token_hex(8)
    begun = time.monotonic()
    raw = transport.run_script(request_script(request, token), timeout)
    now, seconds = time.time(), time.monotonic() - (raw.sent or begun)
    known = Evidence(
        request.host.name,
        read_at=now,
        unreachable=redact(raw.unreachable),
        transport=transport.name,
        address=raw.address,
        login_user=raw.login_user,
        host_key=raw.host_key,
        patterns=frozenset(request.patterns),
    )
    if raw.unreachable:
        return known
    stopwatch = Stopwatch()
    try:
        with limited(stopwatch):
            found = response.parse_response(known, request, token.encode(), raw.stdout, seconds)
        return _with_clock(found, transport)
    except TimeExceeded:
        return replace(known, unreachable=stopwatch.reason)
    except response.MalformedResponse as error:
        detail = raw.stderr[-2000:].decode(errors="backslashreplace").strip()[-300:]
        return replace(known, unreachable=redact(f"{error}{': ' + detail if detail else ''}"))


def _with_clock(found: Evidence, transport: Transport) -> Evidence:
    """The evidence with the host's clock as exact as a few more readings make it.

    An answer that was late on its way makes the clock look behind; a short question is answered
    sooner than the script was.
    """
    for _ in range(CLOCK_READINGS):
        if found.clock is None or found.clock_delay <= CLOCK_DELAY:
            break
        token = secrets.token_hex(8)
        begun = time.monotonic()
        raw = transport.run_script(f"echo {token}; date +%s.%N; echo {token}", CLOCK_TIMEOUT)
        now, seconds = time.time(), time.monotonic() - (raw.sent or begun)
        shown = re.search(rb"%b\n(\d{1,12}\.\d{1,9})\n%b" % ((token.encode(),) * 2), raw.stdout)
        if shown is None:
            break
        if seconds < found.clock_delay:
            clock = found.read_at + float(shown[1]) - now
            found = replace(found, clock=clock, clock_delay=seconds)
    return found
