"""Answers that are cut, changed or repeated on their way are UNKNOWN, never less than they were."""

import base64
import gzip
import random
import re
from functools import cache

import pytest

from hale import gather
from hale.gather import RawResponse
from hale.gather import request as sent
from hale.gather import response as back
from hale.model.evidence import CommandProbe, Evidence, HostView, Unreadable
from tests.engine.local_gather import Shell, ask, question


@cache
def answer() -> tuple[str, bytes, Evidence]:
    """An answer of this machine, with the token that it was asked with."""
    sample = question(
        "/etc/passwd",
        "/etc/fstab",
        "/etc/none",
        "/etc/*.conf",
        "/etc/sysctl.d/*.conf",
        "/proc/swaps",
        commands=[CommandProbe("a", "echo a"), CommandProbe("b", "echo b", slow=True)],
    )
    recorded: list[tuple[str, bytes]] = []

    class Recorder(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            output = super().run_script(command, timeout)
            recorded.append((output.stdout.partition(b"\n")[0].decode(), output.stdout))
            return output

    evidence = gather.gather_host(sample, Recorder(), 60)
    return (*recorded[0], evidence)


def judged(stdout: bytes) -> Evidence:
    token, _, complete = answer()
    known = Evidence(
        "here", patterns=complete.patterns, read_at=complete.read_at, transport="local"
    )
    sent = question(
        *sorted(complete.patterns),
        commands=[CommandProbe("a", "echo a"), CommandProbe("b", "echo b", slow=True)],
    )
    try:
        return back.parse_response(known, sent, token.encode(), stdout)
    except back.MalformedResponse as error:
        return Evidence("here", unreachable=str(error))


def same_or_unknown(evidence: Evidence) -> None:
    """Every question has the recorded answer, or none."""
    complete = answer()[2]
    if evidence.unreachable:
        return
    now, before = HostView(evidence, "test"), HostView(complete, "test")
    for pattern in complete.patterns:
        try:
            found = now.files(pattern)
            regular = [(f, f.lines) for f in found if f.kind == "f"]
        except Unreadable:
            continue
        expected = before.files(pattern)
        assert found == expected
        assert regular == [(f, f.lines) for f in expected if f.kind == "f"]
    for name in ("a", "b"):
        try:
            text = now.text(name)
        except Unreadable:
            continue
        assert text == before.text(name)


def test_the_recorded_answer_is_complete() -> None:
    complete = answer()[2]
    assert not complete.unreachable
    assert not complete.files_error
    assert judged(answer()[1]).files == complete.files


def test_an_answer_that_is_cut_off_is_none() -> None:
    """At every byte: a file that exists never becomes absent, shorter or empty."""
    _, stdout, _ = answer()
    end = len(stdout.rstrip())
    for at in [*range(200), *range(0, end, 7), *range(end - 300, end)]:
        cut = judged(stdout[:at])
        assert cut.unreachable, f"cut at {at} of {end}"


def test_a_spoilt_answer_never_tells_less() -> None:
    dice = random.Random(1)
    _, stdout, _ = answer()
    for _ in range(400):
        same_or_unknown(judged(spoilt(stdout, dice)))


def test_spoilt_frames_behind_a_good_checksum_never_tell_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that garbles before it packs: exceptions of ours must not be a way out either.

    Garbled bytes in the middle of a line look like another line; nothing can show that. But no
    other file and no other command may look different for it.
    """
    dice = random.Random(2)
    token, stdout, complete = answer()
    frames = back.decode(stdout, token.encode())
    owners = owned(frames)
    compared = 0
    for _ in range(800):
        spoil, at, to = spoilt_at(frames, dice)
        monkeypatch.setattr(back, "decode", lambda *_, spoil=spoil: spoil)
        found = judged(b"")
        left_alone(found, complete, touched(owners, at, to))
        compared += not found.unreachable
    assert compared > 100, "most of the answers must be read, or this compares nothing"


def touched(owners: list[str], at: int, to: int) -> set[str]:
    """The files and commands between `at` and `to`, and their neighbours on both sides, which a
    garbled separator lets run into each other.
    """
    before = next((owner for owner in reversed(owners[:at]) if owner), "")
    after = next((owner for owner in owners[to + 1 :] if owner), "")
    return {before, *owners[at : to + 1], after}


def left_alone(found: Evidence, complete: Evidence, spoilt: set[str]) -> None:
    """Every file and command that is not `spoilt` is as recorded, or is said to be unknown."""
    if found.unreachable:
        return
    for name in {"a", "b"} - spoilt:
        now, before = found.outputs.get(f"test.{name}"), complete.outputs[f"test.{name}"]
        assert now is None or now.exit_status != 0 or now.stdout == before.stdout
    if found.files_error:
        return
    for path, before_file in complete.files.items():
        if path not in spoilt:
            now_file = found.files[path]
            assert now_file.error or now_file == before_file, path


def owned(frames: bytes) -> list[str]:
    """For every byte the file or the command it tells of, "" for what tells of all."""
    owners = [""] * len(frames)

    def own(start: int, end: int, name: bytes) -> None:
        owners[start:end] = [name.decode()] * (end - start)

    nonce = frames.partition(b"\n")[0]
    for frame in re.finditer(nonce + rb" (.)\s(.*?)(?=" + nonce + rb"|\Z)", frames, re.DOTALL):
        start, end = frame.span(2)
        body = frames[:end]
        match frame[1]:
            case b"C":
                own(start, end, frame[2].partition(b"\n")[0].removeprefix(b"test."))
            case b"L" | b"M":
                first = body.index(b"\n", start) + 1 if frame[1] == b"L" else start
                width = 7 if frame[1] == b"L" else 3
                for m in re.compile(rb"([^\0]+)\0(?:[^\0]*\0){%d}" % width).finditer(body, first):
                    own(*m.span(), m[1])
            case b"G":
                first = body.index(b"\0\0", start) + 2
                for m in re.compile(rb"([^\0]+)\0").finditer(body[:first], start):
                    own(*m.span(), m[1])
                for m in re.compile(rb"([^\0]+)\0\d+:.*\n").finditer(body, first):
                    own(*m.span(), m[1])
    return owners


def test_a_frame_that_is_missing_never_tells_less(monkeypatch: pytest.MonkeyPatch) -> None:
    token, stdout, _ = answer()
    frames = back.decode(stdout, token.encode())
    nonce = frames.partition(b"\n")[0]
    parts = frames.split(nonce)
    for gone in range(2, len(parts)):
        for last in (gone + 1, gone + 2, gone + 4):
            remaining = nonce.join([*parts[:gone], *parts[last:]])
            monkeypatch.setattr(back, "decode", lambda *_, remaining=remaining: remaining)
            same_or_unknown(judged(b""))


@pytest.mark.parametrize("kind", [b"H", b"L", b"M", b"G"])
def test_a_frame_that_comes_twice_leaves_the_files_unknown(
    monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    """A command's end that was garbled into ` M` must not hide when the links' targets changed."""
    token, stdout, _ = answer()
    frames = back.decode(stdout, token.encode())
    nonce = frames.partition(b"\n")[0]
    start, end = nonce + b" Z ", nonce + b" " + kind + b" 0\n"
    monkeypatch.setattr(back, "decode", lambda *_: frames.replace(start, end + start))
    found = judged(b"")
    assert not found.unreachable
    assert found.files_error == "the files were not read: the host's answer has a gap"


def test_an_answer_packed_only_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """gzip was killed: what it had written unpacks well, up to there."""
    token, stdout, _ = answer()
    packed = base64.b64decode(stdout.removeprefix(token.encode()).partition(token.encode())[0])
    for end in (*range(20, len(packed), 97), len(packed) - 1):
        half = base64.b64encode(packed[:end])
        cut = judged(b"%s\n%s\n%s\n" % (token.encode(), half, token.encode()))
        assert cut.unreachable == "the host's answer is truncated"
    twice = base64.b64encode(packed + packed)
    assert judged(b"%s\n%s\n%s\n" % (token.encode(), twice, token.encode())).unreachable


def spoilt(data: bytes, dice: random.Random) -> bytes:
    return spoilt_at(data, dice)[0]


def spoilt_at(data: bytes, dice: random.Random) -> tuple[bytes, int, int]:
    """The data with a part changed, and where that part begins and ends."""
    at = dice.randrange(len(data))
    to = min(len(data), at + dice.choice((1, 2, 10, 100, 1000)))
    changed = [
        data[:at] + data[to:],
        data[:at] + bytes(dice.randrange(256) for _ in range(to - at)) + data[to:],
        data[:to] + data[at:],
        data[:at] + b"\0" + data[at:],
        data[:at] + b"\n" + data[at:],
    ]
    kind = dice.randrange(5)
    return changed[kind], at, at if kind > 2 else to


def test_frames_of_another_nonce_are_none() -> None:
    _, stdout, _ = answer()
    other = ask("/etc/passwd", shell=Shell(spoil=lambda _: stdout))
    assert other.unreachable == "the host did not run the script"


@pytest.mark.parametrize(
    "stdout", [b"", b"\n", b"This account is currently not available.\n", b"\0" * 1000]
)
def test_no_answer(stdout: bytes) -> None:
    found = ask("/etc/passwd", shell=Shell(spoil=lambda _: stdout))
    assert found.unreachable.startswith("the host did not run the script")


def test_an_answer_that_unpacks_without_end() -> None:
    """16 KiB of gzip can be 16 MiB: the operator's memory is not the host's to fill."""
    bomb = base64.b64encode(gzip.compress(b"\0" * (back.MAX_RESPONSE + 1)))

    def answered(stdout: bytes) -> bytes:
        token = stdout.partition(b"\n")[0] + b"\n"
        return token + bomb + b"\n" + token

    found = ask("/etc/passwd", shell=Shell(spoil=answered))
    assert found.unreachable == "the host's answer is longer than 16 MiB"


def test_a_mistake_of_ours_spoils_one_host_only() -> None:
    class Broken(Shell):
        def run_script(self, command: str, timeout: float) -> RawResponse:
            raise KeyError("oops")

    one, other = question("/etc/passwd"), question("/etc/passwd")
    named = sent.ProbeRequest(
        type(other.host)("other", None, frozenset(), {}, other.host.where), (), other.patterns
    )
    found = gather.gather_hosts([(one, Broken()), (named, Shell())], 10)
    assert "KeyError" in found["here"].unreachable
    assert not found["other"].unreachable
