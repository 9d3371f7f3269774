"""Every parser with mutations of what it usually reads: it refuses by the exception it declares.

The corpus is what other tests have: the cases of tests/facts and tests/install, recorded answers,
plans, journals. What a run finds becomes a case there. In CI each parser has a few dozen
mutations, always the same; `make soak` has an hour of others (HALE_FUZZ_SECONDS, 3600 by default).
"""

import os
import time
import tomllib
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hale.apply.executor import StepExecutor
from hale.apply.prepared import PreconditionFailed, StepFailed
from hale.audit.judge import judge_fact
from hale.gather import response
from hale.gather.request import ProbeRequest
from hale.install import scheduler
from hale.model.change import ModuleChange, SwapOff, SymlinkChange
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, Evidence, NotApplicable, Unreadable
from hale.plan import plan
from hale.plan.plan import Step
from hale.redact import redact
from hale.ssh import client
from hale.ssh.remote.files import FileUnreadable, read_files
from hale.ssh.target import CommandResult, Target
from tests.engine.local_gather import HOST
from tests.facts import test_cases as facts
from tests.hostile.answers import answer, packed
from tests.hostile.forgery import K8S, edit
from tests.hostile.fuzzed_files import KINDS, documents
from tests.hostile.test_plans import value
from tests.install import factories
from tests.install import test_phases as phases
from tests.reports.test_secrets import HELD, OPEN

SOAK = bool(os.environ.get("HALE_SOAK"))
EXAMPLES = 500 if SOAK else 20
SECONDS = float(os.environ.get("HALE_FUZZ_SECONDS", "3600"))
# What readers treat in their own way, and what people and hosts put between it.
PIECES = (
    *"\n\n\r\t\v\f\0\\\"'#;:=,.-+*?[]{}()<>|&$%@!/~0123456789aZ \x1b\x1c\x85\xa0\u2028\u0660\xb2",
    *("\ufeff", "\ud800", "-1", "00", "0x", "1e999", "9" * 400, "infinity", "nan", "true", "no"),
    *("::", "..", "\\x", "- ", ": ", "  " * 30, "a" * 300, "[" * 100, "{" * 100, "\\\n", "$(x)"),
    *("${x}", "&a *a", "%s", "eyJ", "-----BEGIN"),
)


@st.composite
def mutations(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """One of the texts, changed in a few places, with parts of the others."""
    text = draw(st.sampled_from(texts))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        end = draw(st.integers(at, min(len(text), at + 40)))
        match draw(st.integers(0, 5)):
            case 0:
                new = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=6)))
            case 1:
                new = ""
            case 2:
                new = text[at:end] * draw(st.integers(2, 30))
            case 3:
                other = draw(st.sampled_from(texts))
                start = draw(st.integers(0, len(other)))
                new = other[start : start + draw(st.integers(0, 60))]
            case 4:
                end, new = len(text), ""
            case _:
                new = draw(st.text(max_size=8))
        text = text[:at] + new + text[end:]
    return text


def as_host(text: str) -> str:
    """As a host's text arrives: bytes that are not UTF-8 as escapes."""
    return text.encode(errors="surrogatepass").decode(errors="backslashreplace")


def fuzz(texts: Sequence[str], check: Callable[[str], object], share: float) -> None:
    """share: of the hour that the soak test takes."""
    end = time.monotonic() + SECONDS * share
    number = 0 if not SOAK else time.time_ns()
    while True:
        number += 1

        @seed(number)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(mutations(texts))
        def one(text: str) -> None:
            check(text)

        one()
        if not SOAK or time.monotonic() > end:
            return


# --- facts: what a host's files and commands print ---

SUBJECTS = sorted({path.parent.name for path in facts.CASES})
PHASES = sorted({path.parent.name for path in phases.CASES})
PARTS = len(SUBJECTS) + len(PHASES) + 25


@cache
def cases_of(subject: str) -> list[facts.Given]:
    return [facts.loaded(p.read_bytes()) for p in facts.CASES if p.parent.name == subject]


def places(given: facts.Given) -> list[tuple[facts.GivenHost, str, str]]:
    """Each host's outputs and files, by their table and name."""
    hosts: list[facts.GivenHost] = [given, given.every, *given.hosts.values()]
    return [
        (host, table, name)
        for host in hosts
        for table, held in (("outputs", host.outputs), ("files", host.files))
        for name, one in held.items()
        if not getattr(one, "ignored", False)
    ]


def texts_of(subject: str) -> list[str]:
    found = []
    for case in cases_of(subject):
        for host, table, name in places(case):
            one = getattr(host, table)[name]
            found.append(one.stdout if table == "outputs" else one.text)
    return found or [""]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_readers(subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fact, or Unreadable or NotApplicable; and then a verdict of the check."""
    monkeypatch.setattr(facts, "as_sent", lambda host, files, probes: {f.path: f for f in files})
    usable = [given for given in cases_of(subject) if places(given)]
    if not usable:
        pytest.skip("it reads nothing of a host")

    def check(text: str) -> None:
        chosen = zlib.crc32(text.encode(errors="replace"))
        given = usable[chosen % len(usable)]
        host, table, name = places(given)[chosen % len(places(given))]
        held = getattr(host, table)
        field = "stdout" if table == "outputs" else "text"
        kept = held[name]
        held[name] = msgspec.structs.replace(kept, **{field: as_host(text)})
        try:
            requirement = facts.requirement_named(given.requirement)
            judged = judge_fact(
                facts.case_of(given, requirement), lambda: facts.read(given, requirement)
            )
        finally:
            held[name] = kept
        expected = Unreadable | NotApplicable | AssertionError | None
        assert isinstance(judged.error, expected), (given.requirement, name, judged.error)

    fuzz(texts_of(subject), check, 1 / PARTS)


@pytest.mark.parametrize("name", PHASES)
def test_phases_of_an_install(name: str, tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    phase = scheduler.load_phase(name)
    outputs = []
    for path in phases.CASES:
        document = tomllib.loads(path.read_text())
        if path.parent.name == name and "inventory" not in document and "extra" not in document:
            everywhere = document["outputs"].pop("*", {})
            outputs.append(
                {
                    h.name: everywhere | document["outputs"].get(h.name, {})
                    for h in site.inventory.hosts
                }
            )
    texts = [t for one in outputs for host in one.values() for t in host.values()]
    if not outputs:
        pytest.skip("no case of it has the usual site")

    def check(text: str) -> None:
        chosen = zlib.crc32(text.encode(errors="replace"))
        one = {h: dict(found) for h, found in outputs[chosen % len(outputs)].items()}
        host = list(one)[chosen % len(one)]
        if not one[host]:
            return
        one[host][list(one[host])[chosen % len(one[host])]] = as_host(text)
        found = factories.observed(one, {})
        for act in (
            phase.remaining,
            phase.differences,
            phase.preflight,
            phase.gate_problems,
            lambda s, f: [*phase.prepare(s, f), *phase.batches(s, f)],
        ):
            with suppress(Unreadable, UserError):
                list(act(site, found))

    fuzz(texts or [""], check, 1 / PARTS)


# --- what arrives from a host ---

COMMANDS = (("a.b", CommandProbe("b", "true")),)
ANSWER = answer({"/etc/a": b"x = 1\n\xff\n", "/etc/b": b""}, {"a.b": b"out\n"})
REQUEST = ProbeRequest(HOST, COMMANDS, ("/etc/*",))


def test_the_answer_of_a_host() -> None:
    def check(text: str) -> None:
        for raw in (
            packed(text.encode("latin-1", "replace"), "t"),
            packed(ANSWER, "t")[: len(text)] + text.encode(errors="replace"),
        ):
            with suppress(response.MalformedResponse):
                response.parse_response(Evidence("here"), REQUEST, b"t", raw)

    fuzz([ANSWER.decode("latin-1")], check, 3 / PARTS)


class Answering:
    """A session whose host prints this."""

    def __init__(self, text: str) -> None:
        self.target = Target("here")
        self._text = text

    def run(self, command: str, *args: Any, **kwargs: Any) -> CommandResult:
        data = self._text.encode(errors="replace")
        return CommandResult(len(data) % 3, data, data[:50], 0.0)


BACKUP = "step 1 0\nfolder /etc/x\npriority -2\nwas /proc/x 1\nend\nQUJD\n0 - -\n"


def test_the_steps_of_a_fix() -> None:
    changes = (
        edit(K8S),
        value("/proc/sys/x"),
        ModuleChange("x", "why"),
        SwapOff("/dev/x", 0, "why"),
        SymlinkChange("/etc/x", "/y", None, "why"),
    )

    def check(text: str) -> None:
        session: Any = Answering(text)
        with suppress(FileUnreadable):
            read_files(session, ["/etc/a", "/etc/b"])
        step = Step(("X",), changes[len(text) % len(changes)], plan.sha256(b""), "")
        with suppress(StepFailed, PreconditionFailed):
            StepExecutor(session, "run").prepare({1: step})

    fuzz([BACKUP], check, 2 / PARTS)


LOG = (
    "OpenSSH_9.2p1\ndebug1: Connecting to a [192.0.2.1] port 22.\n"
    "debug1: Authenticating to a:22 as 'x'\ndebug1: Server host key: ssh-ed25519 SHA256:abc\n"
    "debug1: Host 'a' is known and matches the ED25519 host key.\n"
    "Permission denied (publickey).\ndebug1: Exit status 0\n"
)


def test_the_log_of_ssh() -> None:
    def check(text: str) -> None:
        log = text.encode(errors="replace")
        for read in (client.host_key, client.host_key_changed, client.last_log_line):
            read(log)
        client.is_before_8_7(log)
        client.exited_normally(log)
        client.login_failure(Target("a"), log, log[:100], 1.0)

    fuzz([LOG], check, 1 / PARTS)


def test_a_key_of_no_ascii_found_by_this_test() -> None:
    log = LOG.replace("ssh-ed25519 SHA", "ssh-\x80 SHA").encode("latin-1")
    assert client.host_key(log) == "ssh-\\x80 SHA256:abc"


def test_masking() -> None:
    """Every line stays where it is, and what is masked is masked for good."""

    def check(text: str) -> None:
        sent = as_host(text)
        masked = redact.__wrapped__(sent)
        assert masked.count("\n") == sent.count("\n")
        assert redact.__wrapped__(masked).count("\n") == sent.count("\n")

    fuzz([*HELD.values(), *OPEN], check, 3 / PARTS)


# --- files that the operator names ---


@pytest.mark.parametrize("kind", KINDS)
def test_files(kind: str, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    name, text, read = documents(tmp_path / "made")[kind]
    folder = tmp_path / "read"
    folder.mkdir()

    def check(mutated: str) -> None:
        (folder / name).write_bytes(mutated.encode(errors="surrogatepass"))
        with suppress(UserError):
            read(folder / name)

    fuzz([text], check, 1 / PARTS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_corpus_is_valid(kind: str, tmp_path: Path) -> None:
    """A mutation of what is refused anyway would prove nothing."""
    (tmp_path / "made").mkdir()
    name, text, read = documents(tmp_path / "made")[kind]
    if kind == "results":
        pytest.skip("its fields have defaults, or it is refused for those that it lacks")
    (tmp_path / name).write_text(text)
    assert read(tmp_path / name)
