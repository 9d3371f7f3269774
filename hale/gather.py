"""Reads everything that a run needs from all hosts at once, one script a host.

The script prints frames that begin with a random nonce, so that whatever a probe prints
cannot be taken for a frame. Nothing is written on the host: what runs beside the others
waits in a pipe.

What was not seen must never look like what is not there. So a file is absent only when the
host's kernel says so (find's "No such file or directory"), and every file that was listed must
have been read; a tool that is missing, too old, killed or fed too much makes all files
unreadable. The answer travels packed, with a checksum: a part of it is no answer.
"""

import base64
import gzip
import re
import secrets
import shlex
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from hale import subjects
from hale.fact import Command, Evidence, File, Files, Output, mask
from hale.inventory import Host
from hale.standard import Case

IDENTITY = "identity"  # the subject that says which host answered; read in every run


class Answer(Struct, frozen=True):
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

    def ask(self, script: str, timeout: float) -> Answer:
        """Run the script of POSIX sh once. Never raises: a host that is down is an answer.

        A transport that hands its text to a login shell hands over what `packed` makes of it.
        """


class Question(Struct, frozen=True):
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
    meanwhile: Callable[[], None] = lambda: None,
) -> dict[str, Evidence]:
    """Ask all hosts at once, do `meanwhile`, and wait; `timeout` in seconds.

    `told` is called as each one has answered.
    """
    # Threads of our own: a pool would keep Ctrl-C waiting for the slowest host.
    answered: SimpleQueue[Evidence] = SimpleQueue()

    def one(question: Question, transport: Transport) -> None:
        try:
            answered.put(ask(question, transport, timeout))
        except Exception as error:  # a mistake of ours: the other hosts are judged all the same
            why = f"a mistake in hale, please report it: {type(error).__name__}: {error}"
            answered.put(Evidence(question.host.name, read_at=time.time(), down=mask(why)))

    for pair in asked:
        Thread(target=one, args=pair, daemon=True, name=f"gather {pair[0].host.name}").start()
    meanwhile()
    found: dict[str, Evidence] = {}
    for _ in asked:
        evidence = answered.get()
        found[evidence.host] = evidence
        told(evidence)
    return {q.host.name: found[q.host.name] for q, _ in asked}


def ask(question: Question, transport: Transport, timeout: float) -> Evidence:
    """One host's evidence. A host that is down, or babbles, is evidence too (`down`)."""
    token = secrets.token_hex(8)
    answer = transport.ask(script(question, token), timeout)
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
        return _evidence(known, question, token.encode(), answer.stdout)
    except _Malformed as error:
        said = answer.stderr.decode(errors="backslashreplace").strip()[-300:]
        return replace(known, down=mask(f"{error}{': ' + said if said else ''}"))


# --- the script ---


def packed(script: str) -> str:
    """One command line that runs it; any login shell reads that alike, fish and csh too."""
    # One argument of a command may have 128 KiB (execve(2)).
    small = gzip.compress(script.encode(), mtime=0)
    return f"echo {base64.b64encode(small).decode()} | base64 -d | gzip -d | sh"


# `problems` tells what find complained of. What is not there is only counted: of some hundred
# patterns most name nothing.
_PRELUDE = r"""
LC_ALL=C PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
unset http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
unset POSIXLY_CORRECT GREP_OPTIONS GREP_COLORS
read -r N </proc/sys/kernel/random/uuid || exit
printf '%s\n' $N
T=; command -v timeout >/dev/null && T=1
run() {
  printf '%s C %s\n' $N "$1"
  { e=$(${T:+timeout -k 1 "$2"} sh -c "$3" </dev/null 2>&1 >&3 3>&-); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
quick() {
  d=
  if [ "$T" ]; then
    { d=$(printf '%s\n' $N | timeout -k 1 3 sh -c "$Q" sh "$@" 3>&1 >&4 4>&-); } 4>&1
  fi
  shift $((${#d} * 3))
  while [ $# -gt 2 ]; do run "$1" "$2" "$3"; shift 3; done
}
# By $( ) it tells quick how many are done; a TERM ends it between two frames. Each command has
# the shell of a $( ): starting another program takes twice as long.
Q='
read -r N
exec </dev/null
trap "exit 124" TERM
while [ $# -gt 2 ]; do
  printf "%s C %s\n" $N "$1"
  { e=$(N=; eval "$3" 2>&1 >&4 3>&- 4>&-); r=$?; } 4>&1
  printf . >&3
  printf "%s S %s\n%s" $N $r "$e"
  shift 3
done'
problems() {
  n=0 f= IFS='
'
  set -f
  for l in $e; do
    case $l in
    *': No such file or directory' | *': Not a directory') n=$((n+1)) ;;
    *) f="$f$l
" ;;
    esac
  done
  unset IFS
  set +f
  printf '%s S %s\n%s\n%s' $N $r $n "$f"
}
folders() {
  printf '%s H\n' $N
  { e=$(find -H "$@" -maxdepth 1 -false 2>&1 >&3); r=$?; } 3>&1
  problems
}
list() {
  printf '%s L %s\n' $N $#
  { e=$(find "$@" -maxdepth 0 -printf '%p\0%y\0%Y\0%l\0%C@\0%T@\0' \
        \( -readable -printf 'r\0' -o -printf '-\0' \) 2>&1 >&3); r=$?; } 3>&1
  problems
}
links() {
  printf '%s M\n' $N
  [ $# = 0 ] || find -L "$@" -maxdepth 0 -xtype l -printf '%p\0%C@\0%T@\0' 2>/dev/null
}
lines() {
  printf '%s G\n' $N
  printf '%s\0' "$@" ""
  { e=$(grep -anHZ '' "$@" 2>&1 >&3); r=$?; } 3>&1
  printf '%s S %s\n%s' $N $r "$e"
}
"""


def script(question: Question, token: str) -> str:
    """The whole script in POSIX sh; between two lines `token` it prints what _unpacked reads.

    That is a line NONCE, then frames that begin with NONCE: `H` folders, `L` list, `M` links,
    `G` lines, `C` a command, `S` how one of these ended, `Z` the end. The nonce is the host's
    own, so that no process list shows it while a probe runs.
    """
    quick = " ".join(_words(name, c) for name, c in question.commands if not c.slow)
    body = "\n".join([*_files(question.patterns), f"quick {quick}"])
    inner = f"{{\n{body}\n}} </dev/null"
    for name, slow in question.commands:
        if slow.slow:  # its output waits in the pipe until the others are done
            inner = f"{{ run {_words(name, slow)}; }} | {{\n{inner}\ncat\n}}"
    end = "printf '%s Z %s\\n' $N \"$(date +%s.%N)\""
    return f"echo {token}\n{{{_PRELUDE}{inner}\n{end}\n}} | gzip -1c | base64\necho {token}\n"


def _words(name: str, command: Command) -> str:
    return f"{shlex.quote(name)} {command.timeout:g} {shlex.quote(command.script)}"


def _files(patterns: Sequence[str]) -> list[str]:
    if not patterns:
        return []
    return [
        # Without any, find would search where we are.
        *_arguments(["/dev/null", *_searched(patterns)]),
        'folders "$@"',
        # A pattern that matches nothing stays as it is: find says that there is no such file.
        *_arguments(patterns),
        'list "$@"',
        # Only regular files are opened: a FIFO would hang, a device may act. `w` names them by
        # their numbers, `l` links. The line of the last one shows that grep works, and got there.
        "i=0 w= l=",
        "for p; do",
        '  i=$((i+1)) v=" \\"\\${$i}\\""',
        '  if [ -L "$p" ]; then l=$l$v; fi',
        '  if [ -f "$p" ]; then w=$w$v; fi',
        "done",
        'eval "links $l"',
        f'eval "lines $w {_LAST}"',
    ]


def _arguments(patterns: Sequence[str]) -> list[str]:
    """Set $@ to what the patterns match; nothing twice where /lib is but a name of /usr/lib."""
    known = frozenset(patterns)
    once: list[str] = []
    again: list[str] = []
    for pattern in patterns:
        twin = pattern.startswith("/lib/") and f"/usr{pattern}" in known
        (again if twin else once).append(_shell_pattern(pattern))
    lines = [f"set -- {' '.join(once)}"]
    if again:
        lines.append(f'[ /lib -ef /usr/lib ] 2>/dev/null || set -- "$@" {" ".join(again)}')
    return lines


def _searched(patterns: Sequence[str]) -> list[str]:
    """The folders that must be searchable, else a pattern's matches are not all there.

    For a path without wildcards find itself says what became of it.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        parts = pattern.split("/")
        for depth in range(2, len(parts)):
            if any(_WILD.search(part) for part in parts[1 : depth + 1]):
                found["/".join(parts[:depth])] = None
    return list(found)


_LAST = "/proc/sys/kernel/random/uuid"  # the script has read it before
_WILD = re.compile(r"[*?]|\[[^]]*\]")


def _shell_pattern(pattern: str) -> str:
    """Everything quoted but the wildcards."""
    parts = re.split(f"({_WILD.pattern})", pattern)
    return "".join(p if i % 2 else (shlex.quote(p) if p else "") for i, p in enumerate(parts))


# --- what came back ---


class _Malformed(Exception):
    pass


class _Unproven(Exception):
    """The files were not seen as they are; their commands' outputs may be fine."""


_NONCE = re.compile(rb"[0-9a-f-]{36}")
MOST = 64 << 20  # bytes of an answer
Frames = Sequence[tuple[bytes, bytes]]


def _unpacked(stdout: bytes, token: bytes) -> bytes:
    """What stands between the tokens, whole as its checksum says; banners may stand around it."""
    _, begun, rest = stdout.partition(token + b"\n")
    packed, ended, _ = rest.partition(token)
    if not begun:
        raise _Malformed("the host did not run what it was sent")
    if not ended:
        raise _Malformed("the host's answer breaks off")
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        answer = unpacker.decompress(base64.b64decode(packed), MOST)
    except (ValueError, zlib.error):
        raise _Malformed("the host's answer is garbled") from None
    if unpacker.unconsumed_tail:
        raise _Malformed(f"the host's answer is longer than {MOST >> 20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise _Malformed("the host's answer breaks off")
    return answer


def _evidence(known: Evidence, question: Question, token: bytes, stdout: bytes) -> Evidence:
    nonce, _, rest = _unpacked(stdout, token).partition(b"\n")
    if not _NONCE.fullmatch(nonce):
        raise _Malformed("the host's answer is garbled")
    frames = [(f[1:2], f[3:] if f[2:3] == b" " else f[2:]) for f in rest.split(nonce)[1:]]
    if not frames or frames[-1][0] != b"Z":
        raise _Malformed("the host's answer breaks off")
    listed: dict[str, File] = {}
    hidden: dict[str, str] = {}
    files_trouble = ""
    try:
        if question.patterns:
            hidden, listed = _seen(frames)
    except _Unproven as error:
        files_trouble = str(error)
    clock = re.fullmatch(rb"(\d+\.\d+)\n?", frames[-1][1])
    return replace(
        known,
        outputs=_outputs(known, question, frames),
        listed=listed,
        hidden=hidden,
        files_trouble=mask(files_trouble),
        clock=float(clock[1]) if clock else None,
    )


def _outputs(known: Evidence, question: Question, frames: Frames) -> dict[str, Output]:
    asked = dict(question.commands)
    outputs: dict[str, Output] = {}
    for (kind, data), (after, end) in pairwise(frames):
        if kind != b"C":
            continue
        name, _, printed = data.partition(b"\n")
        key = _text(name)
        if key not in asked or key in outputs:
            raise _Malformed(f"the host's answer is garbled: command {key[:40]!r}")
        if after != b"S":
            continue  # it was killed half-way; what it printed proves nothing
        code, errors = _status(end)
        outputs[key] = Output(
            key, code, mask(_text(printed)), mask(errors), known.read_at, asked[key].script
        )
    return outputs


def _seen(frames: Frames) -> tuple[dict[str, str], dict[str, File]]:
    """What could not be searched and why, and the files. Raises _Unproven."""
    found = dict(frames)
    ended = {k: end for (k, _), (after, end) in pairwise(frames) if after == b"S"}
    if not found.keys() >= {b"H", b"L", b"M", b"G"} or not ended.keys() >= {b"H", b"L", b"G"}:
        raise _Unproven("the files were not read: the host's answer has a gap")
    hidden = dict(_problems(ended[b"H"])[1])
    count, _, records = found[b"L"].partition(b"\n")
    listed = _listing(records)
    absent, blocked = _problems(ended[b"L"])
    if count != b"%d" % (len(listed) + absent + len(blocked)):
        raise _Unproven(f"the files could not be listed: {len(listed)} of {_text(count)} were")
    names, _, records = found[b"G"][1:].partition(b"\0\0")
    read = {_text(name) for name in names.split(b"\0")}
    content = _grep(records)
    status, said = _status(ended[b"G"])
    if status > 2 or _LAST not in content:
        raise _Unproven(f"the files could not be read: grep ended with {status}: {said.strip()}")
    failed = dict(_complaint(line, read) for line in said.splitlines())
    files = _filled(listed, _moved(found[b"M"][1:]), read, content, failed)
    return hidden | dict(blocked), {f.path: f for f in files}


_COMPLAINT = re.compile(r"\S*find: ['`]([^\\]*)': (.+)")


def _problems(frame: bytes) -> tuple[int, list[tuple[str, str]]]:
    """How many paths name nothing, and those that could not be seen, with the reason."""
    code, said = _status(frame)
    absent, _, errors = said.partition("\n")
    found = [_COMPLAINT.fullmatch(line) for line in errors.splitlines()]
    explained = absent.isdecimal() and (code == 0 or found or int(absent))
    if code > 1 or not explained or not all(found):
        why = (errors.strip().splitlines() or [f"find ended with {code}"])[0]
        raise _Unproven(f"the files could not be listed: {why}")
    return int(absent), [(f[1], f[2]) for f in found if f]


def _complaint(line: str, paths: Collection[str]) -> tuple[str, str]:
    """What grep says of a file: `grep: PATH: Input/output error`."""
    program, _, rest = line.partition(": ")
    path, _, why = rest.rpartition(": ")
    if not program.endswith("grep") or path not in paths:
        raise _Unproven(f"the files could not be read: {line}")
    return path, why


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _status(frame: bytes) -> tuple[int, str]:
    code, _, errors = frame.partition(b"\n")
    if not re.fullmatch(rb"\d{1,3}", code):
        raise _Malformed(f"the host's answer is garbled: {code[:40]!r} is no exit status")
    return int(code), _text(errors)


def _records(data: bytes, width: int) -> Iterable[list[bytes]]:
    fields = data.split(b"\0")
    if len(fields) % width != 1:
        raise _Malformed("the host's list of files is garbled")
    return (fields[i : i + width] for i in range(0, len(fields) - 1, width))


def _listing(data: bytes) -> list[File]:
    files = []
    for path, kind, real, target, changed, modified, readable in _records(data, 7):
        followed = real if kind == b"l" and real == b"f" else kind
        files.append(
            File(
                path=_text(path),
                kind=_text(followed),
                target=_text(target) if kind == b"l" else None,
                changed=max(_seconds(changed), _seconds(modified)),
                content=() if readable == b"r" and followed == b"f" else None,
                trouble="" if readable == b"r" else "not readable by this user",
            )
        )
    return files


def _moved(data: bytes) -> dict[str, float]:
    return {_text(p): max(_seconds(c), _seconds(m)) for p, c, m in _records(data, 3)}


def _seconds(raw: bytes) -> float:
    if not re.fullmatch(rb"-?\d{1,15}(\.\d*)?", raw):
        raise _Malformed("the host's list of files is garbled")
    return float(raw)


_RECORD = re.compile(rb"([^\0]+)\0(\d+):(.*)\n")


def _grep(data: bytes) -> dict[str, list[bytes]]:
    """Records `path NUL number : line NEWLINE`; a path may hold a newline, a line may not."""
    content: dict[str, list[bytes]] = {}
    lines: list[bytes] = []
    left = len(data)
    last = b""
    for path, number, line in _RECORD.findall(data):
        left -= len(path) + len(number) + len(line) + 3
        if path != last or number == b"1":
            last = path
            lines = content[_text(path)] = []
        lines.append(line)
        if number != b"%d" % len(lines):
            raise _Malformed("the host's files are garbled: a line is missing")
    if left:
        raise _Malformed("the host's files are garbled")
    return content


def _filled(
    files: Iterable[File],
    moved: Mapping[str, float],
    read: Collection[str],
    content: Mapping[str, list[bytes]],
    failed: Mapping[str, str],
) -> Iterable[File]:
    for file in files:
        # A mask is a link to /dev/null, which every boot makes anew: only the link counts.
        if file.target is not None and not file.masked:
            # The later of link and target; 0, "not known", where the target's was not told.
            target = moved.get(file.path)
            file = replace(file, changed=max(file.changed, target) if target else 0.0)
        if file.path in failed:
            file = replace(file, content=None, trouble=failed[file.path])
        elif file.content is not None and file.path not in read:
            file = replace(file, content=None, trouble="it changed while it was read; run again")
        elif file.content is not None and file.path in content:
            text = mask("\n".join(_text(line) for line in content[file.path]))
            file = replace(file, content=tuple(text.split("\n")))
        yield file
