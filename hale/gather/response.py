"""What a host's answer says: the outputs of commands, and the files as they were seen.

What was not seen must never look like what is not there. So a file is absent only when the
host's kernel says so (find's "No such file or directory"), and every file that was listed must
have been read; a tool that is missing, too old, killed or fed too much makes all files
unreadable. The answer travels packed, with a checksum: a part of it is no answer.
"""

import base64
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from hale.gather.request import SENTINEL_FILE, ProbeRequest
from hale.model.evidence import Evidence, File, Output
from hale.redact import redact


class MalformedResponse(Exception):
    """It is no answer; says why."""


class _FilesIncomplete(Exception):
    """The files were not seen as they are; their commands' outputs may be fine."""


_NONCE = re.compile(rb"[0-9a-f-]{36}")
MAX_RESPONSE = 64 << 20  # bytes of an answer
Frames = Sequence[tuple[bytes, bytes]]


def decode(stdout: bytes, token: bytes) -> bytes:
    """What stands between the tokens, whole as its checksum says; banners may stand around it.

    Raises Malformed.
    """
    _, begun, rest = stdout.partition(token + b"\n")
    packed, ended, _ = rest.partition(token)
    if not begun:
        raise MalformedResponse("the host did not run what it was sent")
    if not ended:
        raise MalformedResponse("the host's answer breaks off")
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        answer = unpacker.decompress(base64.b64decode(packed), MAX_RESPONSE)
    except (ValueError, zlib.error):
        raise MalformedResponse("the host's answer is garbled") from None
    if unpacker.unconsumed_tail:
        raise MalformedResponse(f"the host's answer is longer than {MAX_RESPONSE >> 20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedResponse("the host's answer breaks off")
    return answer


def parse_response(
    known: Evidence, question: ProbeRequest, token: bytes, stdout: bytes
) -> Evidence:
    """What is known of the host, and what it printed when it was asked. Raises Malformed.

    Files that were not seen as they are leave `files_trouble`; the commands count all the same.
    """
    nonce, _, rest = decode(stdout, token).partition(b"\n")
    if not _NONCE.fullmatch(nonce):
        raise MalformedResponse("the host's answer is garbled")
    frames = [(f[1:2], f[3:] if f[2:3] == b" " else f[2:]) for f in rest.split(nonce)[1:]]
    if not frames or frames[-1][0] != b"Z":
        raise MalformedResponse("the host's answer breaks off")
    listed: dict[str, File] = {}
    hidden: dict[str, str] = {}
    files_trouble = ""
    try:
        if question.patterns:
            hidden, listed = _clock(frames)
    except _FilesIncomplete as error:
        files_trouble = str(error)
    clock = re.fullmatch(rb"(\d+\.\d+)\n?", frames[-1][1])
    return replace(
        known,
        outputs=_outputs(known, question, frames),
        files=listed,
        unsearchable=hidden,
        files_error=redact(files_trouble),
        clock=float(clock[1]) if clock else None,
    )


def _outputs(known: Evidence, question: ProbeRequest, frames: Frames) -> dict[str, Output]:
    asked = dict(question.commands)
    outputs: dict[str, Output] = {}
    for (kind, data), (after, end) in pairwise(frames):
        if kind != b"C":
            continue
        name, _, printed = data.partition(b"\n")
        key = _text(name)
        if key not in asked or key in outputs:
            raise MalformedResponse(f"the host's answer is garbled: command {key[:40]!r}")
        if after != b"S":
            continue  # it was killed half-way; what it printed proves nothing
        code, errors = _status(end)
        outputs[key] = Output(
            key, code, redact(_text(printed)), redact(errors), known.read_at, asked[key].script
        )
    return outputs


def _clock(frames: Frames) -> tuple[dict[str, str], dict[str, File]]:
    """What could not be searched and why, and the files. Raises _Unproven."""
    found = dict(frames)
    ended = {k: end for (k, _), (after, end) in pairwise(frames) if after == b"S"}
    if not found.keys() >= {b"H", b"L", b"M", b"G"} or not ended.keys() >= {b"H", b"L", b"G"}:
        raise _FilesIncomplete("the files were not read: the host's answer has a gap")
    hidden = dict(_problems(ended[b"H"])[1])
    count, _, records = found[b"L"].partition(b"\n")
    listed = _listing(records)
    absent, blocked = _problems(ended[b"L"])
    if count != b"%d" % (len(listed) + absent + len(blocked)):
        raise _FilesIncomplete(
            f"the files could not be listed: {len(listed)} of {_text(count)} were"
        )
    names, _, records = found[b"G"][1:].partition(b"\0\0")
    read = {_text(name) for name in names.split(b"\0")}
    content = _grep(records)
    status, said = _status(ended[b"G"])
    if status > 2 or SENTINEL_FILE not in content:
        raise _FilesIncomplete(
            f"the files could not be read: grep ended with {status}: {said.strip()}"
        )
    failed = dict(_parse_grep_error(line, read) for line in said.splitlines())
    files = _with_contents(listed, _link_target_times(found[b"M"][1:]), read, content, failed)
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
        raise _FilesIncomplete(f"the files could not be listed: {why}")
    return int(absent), [(f[1], f[2]) for f in found if f]


def _parse_grep_error(line: str, paths: Collection[str]) -> tuple[str, str]:
    """What grep says of a file: `grep: PATH: Input/output error`."""
    program, _, rest = line.partition(": ")
    path, _, why = rest.rpartition(": ")
    if not program.endswith("grep") or path not in paths:
        raise _FilesIncomplete(f"the files could not be read: {line}")
    return path, why


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _status(frame: bytes) -> tuple[int, str]:
    code, _, errors = frame.partition(b"\n")
    if not re.fullmatch(rb"\d{1,3}", code):
        raise MalformedResponse(f"the host's answer is garbled: {code[:40]!r} is no exit status")
    return int(code), _text(errors)


def _records(data: bytes, width: int) -> Iterable[list[bytes]]:
    fields = data.split(b"\0")
    if len(fields) % width != 1:
        raise MalformedResponse("the host's list of files is garbled")
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
                error="" if readable == b"r" else "not readable by this user",
            )
        )
    return files


def _link_target_times(data: bytes) -> dict[str, float]:
    return {_text(p): max(_seconds(c), _seconds(m)) for p, c, m in _records(data, 3)}


def _seconds(raw: bytes) -> float:
    if not re.fullmatch(rb"-?\d{1,15}(\.\d*)?", raw):
        raise MalformedResponse("the host's list of files is garbled")
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
            raise MalformedResponse("the host's files are garbled: a line is missing")
    if left:
        raise MalformedResponse("the host's files are garbled")
    return content


def _with_contents(
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
            file = replace(file, content=None, error=failed[file.path])
        elif file.content is not None and file.path not in read:
            file = replace(file, content=None, error="it changed while it was read; run again")
        elif file.content is not None and file.path in content:
            text = redact("\n".join(_text(line) for line in content[file.path]))
            file = replace(file, content=tuple(text.split("\n")))
        yield file
