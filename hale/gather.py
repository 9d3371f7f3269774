"""Reads everything that a run needs from all hosts at once, one script a host.

The script prints frames that begin with a random nonce, so that whatever a probe prints
cannot be taken for a frame. Nothing is written on the host: what runs beside the others
waits in a pipe.
"""

import base64
import re
import secrets
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from hale import subjects
from hale.fact import Command, Evidence, File, Files, Output, mask
from hale.inventory import Host
from hale.standard import Case

IDENTITY = "identity"  # the subject that says which host answered; read in every run


@dataclass(frozen=True)
class Answer:
    """What a transport brought back, or why not."""

    stdout: bytes = b""
    stderr: bytes = b""
    down: str = ""
    address: str = ""
    login_user: str = ""
    host_key: str = ""


class Transport(Protocol):
    """A way to one host: our connection, or a testinfra backend."""

    @property
    def name(self) -> str:
        """testinfra's name for it, such as `ssh`."""

    def ask(self, command: str, timeout: float) -> Answer:
        """Run the command once. Never raises: a host that is down is an answer."""


@dataclass(frozen=True)
class Question:
    """All that one host is asked: commands by "subject.name", and patterns of files."""

    host: Host
    commands: tuple[tuple[str, Command], ...]
    patterns: tuple[str, ...]


def question(host: Host, cases: Sequence[Case[Any]]) -> Question:
    """What must be read on this host to judge these cases, each thing once."""
    commands: dict[str, Command] = {}
    patterns: dict[str, None] = {}
    by_subject: dict[str, list[Case[Any]]] = {IDENTITY: []}
    for case in cases:
        by_subject.setdefault(case.requirement.subject, []).append(case)
    for subject, concerned in by_subject.items():
        for probe in subjects.load(subject).probes(host, concerned):
            if isinstance(probe, Files):
                patterns.update(dict.fromkeys(probe.patterns))
            else:
                commands[f"{subject}.{probe.name}"] = probe
    return Question(host, tuple(commands.items()), tuple(patterns))


def gather(
    asked: Sequence[tuple[Question, Transport]],
    timeout: float,
    told: Callable[[Evidence], None] = lambda evidence: None,
) -> dict[str, Evidence]:
    """Ask all hosts at once; `told` is called as each one has answered. `timeout` in seconds."""
    # Threads of our own: a pool would keep Ctrl-C waiting for the slowest host.
    answered: SimpleQueue[Evidence | BaseException] = SimpleQueue()

    def one(question: Question, transport: Transport) -> None:
        try:
            answered.put(ask(question, transport, timeout))
        except BaseException as error:
            answered.put(error)

    for pair in asked:
        Thread(target=one, args=pair, daemon=True, name=f"gather {pair[0].host.name}").start()
    found: dict[str, Evidence] = {}
    for _ in asked:
        evidence = answered.get()
        if isinstance(evidence, BaseException):
            raise evidence
        found[evidence.host] = evidence
        told(evidence)
    return {q.host.name: found[q.host.name] for q, _ in asked}


def ask(question: Question, transport: Transport, timeout: float) -> Evidence:
    """One host's evidence. A host that is down, or babbles, is evidence too (`down`)."""
    nonce = secrets.token_hex(16)
    answer = transport.ask(command(question, nonce), timeout)
    now = time.time()
    known = Evidence(
        question.host.name,
        read_at=now,
        down=mask(answer.down),
        transport=transport.name,
        address=answer.address,
        login_user=answer.login_user,
        host_key=answer.host_key,
        patterns=frozenset(question.patterns),
    )
    if answer.down:
        return known
    try:
        return _evidence(known, question, nonce.encode(), answer.stdout)
    except _Malformed as error:
        said = answer.stderr.decode(errors="backslashreplace").strip()[-300:]
        return replace(known, down=mask(f"{error}{': ' + said if said else ''}"))


# --- the script ---


def command(question: Question, nonce: str) -> str:
    """The one command line to run; any login shell reads it alike, fish and csh too."""
    text = base64.b64encode(script(question, nonce).encode()).decode()
    return f"echo {text} | base64 -d | sh"


_PRELUDE = r"""
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
unset POSIXLY_CORRECT GREP_OPTIONS GREP_COLORS
T=; command -v timeout >/dev/null && T=1
run() {
  printf '%s C %s\n' $N "$1"
  { e=$(${T:+timeout -k 1 "$2"} sh -c "$3" </dev/null 2>&1 >&3 3>&-); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
list() {
  printf '%s L\n' $N
  { e=$(find "$@" -maxdepth 0 -printf '%p\0%y\0%Y\0%l\0%C@\0%T@\0' \
        \( -readable -printf 'r\0' -o -printf '-\0' \) 2>&1 >&3); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
links() {
  printf '%s M\n' $N
  find -L "$@" -maxdepth 0 -printf '%p\0%C@\0%T@\0' 2>/dev/null
}
lines() {
  printf '%s G\n' $N
  { e=$(grep -anHZ '' "$@" 2>&1 >&3); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
"""


def script(question: Question, nonce: str) -> str:
    """The whole script in POSIX sh; frames `C` command, `L` list, `G` lines, `Z` the end."""
    quick = [_run(name, c) for name, c in question.commands if not c.slow]
    body = "\n".join([*_files(question.patterns), *quick])
    inner = f"{{\n{body}\n}} </dev/null"
    for name, slow in question.commands:
        if slow.slow:  # its output waits in the pipe until the others are done
            inner = f"{{ {_run(name, slow)}; }} | {{\n{inner}\ncat\n}}"
    return f"N={nonce}{_PRELUDE}{inner}\nprintf '%s Z %s\\n' $N \"$(date +%s.%N)\"\n"


def _run(name: str, command: Command) -> str:
    return f"run {shlex.quote(name)} {command.timeout:g} {shlex.quote(command.script)}"


def _files(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return []
    folders: dict[str, None] = {}
    for pattern in patterns:
        parts = pattern.split("/")[1:-1]
        for depth in range(1, len(parts) + 1):
            folders["/" + "/".join(parts[:depth])] = None
    return [
        "printf '%s H\\n' $N",
        f"for d in {' '.join(map(_shell_pattern, folders))}; do",
        '  [ ! -d "$d" ] || { [ -r "$d" ] && [ -x "$d" ]; } || printf \'%s\\0\' "$d"',
        "done",
        "set --",
        f"for p in {' '.join(map(_shell_pattern, patterns))}; do",
        '  if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "$p"; fi',
        "done",
        '[ $# = 0 ] || list "$@"',
        # only regular files are opened: a FIFO would hang, a device may act
        'n=$#; for p; do if [ -L "$p" ]; then set -- "$@" "$p"; fi; done; shift $n',
        '[ $# = 0 ] || links "$@"',
        "set --",
        f"for p in {' '.join(map(_shell_pattern, patterns))}; do",
        '  if [ -f "$p" ]; then set -- "$@" "$p"; fi',
        "done",
        '[ $# = 0 ] || lines "$@"',
    ]


def _shell_pattern(pattern: str) -> str:
    """Everything quoted but the wildcards."""
    parts = re.split(r"([*?]|\[[^]]*\])", pattern)
    return "".join(p if i % 2 else (shlex.quote(p) if p else "") for i, p in enumerate(parts))


# --- what came back ---


class _Malformed(Exception):
    pass


def _evidence(known: Evidence, question: Question, nonce: bytes, stdout: bytes) -> Evidence:
    frames = [(f[1:2], f[3:] if f[2:3] == b" " else f[2:]) for f in stdout.split(nonce)[1:]]
    if not frames or frames[-1][0] != b"Z":
        raise _Malformed(
            "the host's answer breaks off" if frames else "the host did not run what it was sent"
        )
    outputs: dict[str, Output] = {}
    listed: dict[str, File] = {}
    moved: dict[str, float] = {}
    content: dict[str, list[bytes]] = {}
    hidden: list[str] = []
    files_trouble = ""
    asked = dict(question.commands)
    for (kind, data), (after, status) in zip(frames, [*frames[1:], (b"", b"")], strict=True):
        code, errors = _status(status) if after == b"S" else (0, "")
        if kind == b"C":
            name, _, printed = data.partition(b"\n")
            key = name.decode()
            outputs[key] = Output(
                key, code, mask(_text(printed)), mask(errors), known.read_at, asked[key].script
            )
        elif kind == b"H":
            hidden = [_text(d) for d in data[1:].split(b"\0")[:-1]]
        elif kind == b"L":
            listed = _listing(data[1:])
            if code == 127:
                files_trouble = f"the files could not be listed: {errors.strip()}"
        elif kind == b"M":
            moved = _moved(data[1:])
        elif kind == b"G":
            content = _grep(data[1:])
            if code == 127:
                files_trouble = f"the files could not be read: {errors.strip()}"
            listed = _with_trouble(listed, errors)
    clock = re.fullmatch(rb"(\d+\.\d+)\n?", frames[-1][1])
    return replace(
        known,
        outputs=outputs,
        listed={f.path: f for f in _filled(listed.values(), moved, content)},
        hidden=hidden,
        files_trouble=files_trouble,
        clock=float(clock[1]) if clock else None,
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _status(frame: bytes) -> tuple[int, str]:
    code, _, errors = frame.partition(b"\n")
    if not code.isdigit():
        raise _Malformed(f"the host's answer is garbled: {code[:40]!r} is no exit status")
    return int(code), _text(errors)


def _records(data: bytes, width: int) -> Iterable[list[bytes]]:
    fields = data.split(b"\0")
    if len(fields) % width != 1:
        raise _Malformed("the host's list of files is garbled")
    return (fields[i : i + width] for i in range(0, len(fields) - 1, width))


def _listing(data: bytes) -> dict[str, File]:
    files = {}
    for path, kind, real, target, changed, modified, readable in _records(data, 7):
        followed = real if kind == b"l" and real == b"f" else kind
        files[_text(path)] = File(
            path=_text(path),
            kind=_text(followed),
            target=_text(target) if kind == b"l" else None,
            changed=max(_seconds(changed), _seconds(modified)),
            content=() if readable == b"r" and followed == b"f" else None,
            trouble="" if readable == b"r" else "not readable by this user",
        )
    return files


def _moved(data: bytes) -> dict[str, float]:
    return {_text(p): max(_seconds(c), _seconds(m)) for p, c, m in _records(data, 3)}


def _seconds(raw: bytes) -> float:
    try:
        return float(raw)
    except ValueError:
        raise _Malformed("the host's list of files is garbled") from None


def _grep(data: bytes) -> dict[str, list[bytes]]:
    """Records `path NUL number : line NEWLINE`; a path may hold a newline, a line may not."""
    content: dict[str, list[bytes]] = {}
    at = 0
    while at < len(data):
        nul = data.find(b"\0", at)
        colon = data.find(b":", nul)
        end = data.find(b"\n", colon)
        if nul < 0 or colon < 0 or end < 0:
            raise _Malformed("the host's files are garbled")
        lines = content.setdefault(_text(data[at:nul]), [])
        lines.append(data[colon + 1 : end])
        if data[nul + 1 : colon] != b"%d" % len(lines):
            raise _Malformed("the host's files are garbled: a line is missing")
        at = end + 1
    return content


def _with_trouble(listed: Mapping[str, File], errors: str) -> dict[str, File]:
    """Files that grep complained of count as unreadable: `grep: PATH: Input/output error`."""
    files = dict(listed)
    for line in errors.splitlines():
        for path, file in listed.items():
            if line.startswith(f"grep: {path}: "):
                files[path] = replace(file, content=None, trouble=line.removeprefix("grep: "))
    return files


def _filled(
    files: Iterable[File], moved: Mapping[str, float], content: Mapping[str, list[bytes]]
) -> Iterable[File]:
    for file in files:
        changed = max(file.changed, moved.get(file.path, 0.0))
        if file.content is None or file.path not in content:
            yield replace(file, changed=changed)
            continue
        text = mask("\n".join(_text(line) for line in content[file.path]))
        yield replace(file, changed=changed, content=tuple(text.split("\n")))
