"""Reads everything that a run needs from all hosts at once, one script a host.

question.py has what is asked, answer.py what is made of what comes back.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Thread
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from hale.gather import response
from hale.gather.request import ProbeRequest, request_script
from hale.model.evidence import Evidence
from hale.redact import redact


class RawResponse(Struct, frozen=True):
    """What a transport brought back, or why not."""

    stdout: bytes = b""
    stderr: bytes = b""
    unreachable: str = ""
    address: str = ""
    login_user: str = ""
    host_key: str = ""


class Transport(Protocol):
    """A way to one host: our connection, or a testinfra backend."""

    @property
    def name(self) -> str:
        """testinfra's name for it, such as `ssh`."""

    def ask(self, script: str, timeout: float) -> RawResponse:
        """Run the script of POSIX sh once. Never raises: a host that is down is an answer.

        A transport that hands its text to a login shell hands over what `packed` makes of it.
        """


def gather_hosts(
    asked: Sequence[tuple[ProbeRequest, Transport]],
    timeout: float,
    told: Callable[[Evidence], None] = lambda evidence: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, Evidence]:
    """Ask all hosts at once, do `meanwhile`, and wait; `timeout` in seconds.

    `told` is called as each one has answered.
    """
    # Threads of our own: a pool would keep Ctrl-C waiting for the slowest host.
    answered: SimpleQueue[Evidence] = SimpleQueue()

    def one(question: ProbeRequest, transport: Transport) -> None:
        try:
            answered.put(gather_host(question, transport, timeout))
        except Exception as error:  # a mistake of ours: the other hosts are judged all the same
            why = f"a mistake in hale, please report it: {type(error).__name__}: {error}"
            answered.put(Evidence(question.host.name, read_at=time.time(), unreachable=redact(why)))

    for pair in asked:
        Thread(target=one, args=pair, daemon=True, name=f"gather {pair[0].host.name}").start()
    meanwhile()
    found: dict[str, Evidence] = {}
    for _ in asked:
        evidence = answered.get()
        found[evidence.host] = evidence
        told(evidence)
    return {q.host.name: found[q.host.name] for q, _ in asked}


def gather_host(question: ProbeRequest, transport: Transport, timeout: float) -> Evidence:
    """One host's evidence. A host that is down, or babbles, is evidence too (`down`)."""
    token = secrets.token_hex(8)
    told = transport.ask(request_script(question, token), timeout)
    now = time.time()
    known = Evidence(
        question.host.name,
        read_at=now,
        unreachable=redact(told.unreachable),
        transport=transport.name,
        address=told.address,
        login_user=told.login_user,
        host_key=told.host_key,
        patterns=frozenset(question.patterns),
    )
    if told.unreachable:
        return known
    try:
        return response.parse_response(known, question, token.encode(), told.stdout)
    except response.MalformedResponse as error:
        said = told.stderr.decode(errors="backslashreplace").strip()[-300:]
        return replace(known, unreachable=redact(f"{error}{': ' + said if said else ''}"))
