"""Parses a host's response: the outputs of commands, and the files as they were read.

A file that was not read must never look like an absent one. A file is absent only if the host's
kernel reports it (find's "No such file or directory"), and every listed file must have been read;
a tool that is missing, too old, killed or given too much input makes all files unreadable. The
response is compressed, with a checksum: a part of it is not a response.
"""

import base64
import re
import sys
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from hale.gather import request as letters
from hale.gather.request import SENTINEL_FILE, ProbeRequest
from hale.model import budgets
from hale.model.evidence import Evidence, File, Output
from hale.redact import redact


class MalformedResponse(Exception):
    """This is not a valid response; the message gives the reason."""


class _FilesIncomplete(Exception):
    """The files were not read completely; the outputs of commands may be valid."""


_NONCE = re.compile(rb"[0-9a-f-]{36}")
MAX_RESPONSE = budgets.ANSWER_BYTES  # uncompressed
Frames = Sequence[tuple[bytes, bytes]]  # (letter, data)
_SEARCHABLE = letters.SEARCHABLE.encode()
_FILE_LIST = letters.FILE_LIST.encode()
_LINK_TARGETS = letters.LINK_TARGETS.encode()
_FILE_LINES = letters.FILE_LINES.encode()
_COMMAND = letters.COMMAND.encode()
_STATUS = letters.STATUS.encode()
_END = letters.END.encode()


def decode(stdout: bytes, token: bytes) -> bytes:
    """The bytes between the two tokens, verified by their checksum; banners may surround them.

    Raises MalformedResponse.
    """
    started = stdout.find(token + b"\n")
    start = started + len(token) + 1
    end = stdout.find(token, start)
    if started < 0:
        raise MalformedResponse("the host did not run the script")
    if end < 0:
        raise MalformedResponse("the host's answer is truncated")
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    answer = bytearray()
    held = b""
    try:
        for at in range(start, end, _CHUNK):
            letters_of_base64 = stdout[at : min(end, at + _CHUNK)].translate(None, _NOT_BASE64)
            held += letters_of_base64
            full_groups = len(held) - len(held) % 4
            packed = base64.b64decode(held[:full_groups])
            held = held[full_groups:]
            # One byte more than allowed is enough to know.
            answer += unpacker.decompress(packed, MAX_RESPONSE - len(answer) + 1)
            if len(answer) > MAX_RESPONSE:
                raise MalformedResponse(
                    f"the host's answer is longer than {MAX_RESPONSE >> 20} MiB"
                )
        if held:
            raise ValueError("the last group of base64 is incomplete")
    except (ValueError, zlib.error):
        raise MalformedResponse("the host's answer is garbled") from None
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedResponse("the host's answer is truncated")
    return bytes(answer)


_CHUNK = 1 << 20
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_BASE64 = bytes(set(range(256)) - set(_BASE64))


def parse_response(
    known: Evidence, request: ProbeRequest, token: bytes, stdout: bytes, seconds: float = 0.0
) -> Evidence:
    """`known`, completed by what the host printed. Raises MalformedResponse.

    seconds: from the moment when the script was sent until the answer was complete.
    Files that could not be read completely set `files_error`; the outputs of commands count
    nevertheless.
    """
    answer = decode(stdout, token)
    nonce = answer[: answer.find(b"\n")]
    if not _NONCE.fullmatch(nonce):
        raise MalformedResponse("the host's answer is garbled")
    if answer.count(nonce) > budgets.FRAMES:
        raise MalformedResponse(f"the host's answer has more than {budgets.FRAMES} parts")
    parts = answer.split(nonce)[2:]
    del answer
    if not all(part.endswith(b"\n") for part in parts):
        raise MalformedResponse("the host's answer is garbled: a part does not end with its line")
    frames = [(p[1:2], (p[3:] if p[2:3] == b" " else p[2:])[:-1]) for p in parts]
    del parts
    if not frames or frames[-1][0] != _END:
        raise MalformedResponse("the host's answer is truncated")
    for kind, data in frames:
        if kind in (_COMMAND, _STATUS, _SEARCHABLE) and len(data) > budgets.PROBE_BYTES:
            name = _text(data[:80].partition(b"\n")[0]) if kind == _COMMAND else "a list of errors"
            limit = budgets.PROBE_BYTES >> 20
            raise MalformedResponse(
                f"the host's answer is too long: {name} has more than {limit} MiB"
            )
    memory = _TextMemory()
    listed: dict[str, File] = {}
    hidden: dict[str, str] = {}
    files_error = ""
    try:
        if request.patterns:
            hidden, listed = _files_of_frames(frames, memory)
    except _FilesIncomplete as error:
        files_error = str(error)
    clock = _CLOCK.fullmatch(frames[-1][1])
    return replace(
        known,
        outputs=_outputs_of_frames(known, request, frames, memory),
        files=listed,
        unsearchable=hidden,
        files_error=redact(files_error),
        clock=float(clock[1]) if clock else None,
        clock_delay=max(0.0, seconds - (float(clock[3]) - float(clock[2]))) if clock else 0.0,
    )


# The time of day, the uptime at the start, and now: proc_uptime(5).
_CLOCK = re.compile(rb"(\d{1,12}\.\d{1,9}) (\d{1,12}\.\d{1,9}) (\d{1,12}\.\d{1,9})")


class _TextMemory:
    """Counts the memory that the host's texts take."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self, text: str) -> str:
        """The text. Raises MalformedResponse."""
        self._taken += sys.getsizeof(text)
        if self._taken > budgets.TEXT_MEMORY:
            limit = budgets.TEXT_MEMORY >> 20
            raise MalformedResponse(f"the host's answer takes more than {limit} MiB of memory")
        return text


def _outputs_of_frames(
    known: Evidence, request: ProbeRequest, frames: Frames, memory: _TextMemory
) -> dict[str, Output]:
    commands = dict(request.commands)
    outputs: dict[str, Output] = {}
    for (kind, data), (after, end) in pairwise(frames):
        if kind != _COMMAND:
            continue
        name, _, printed = data.partition(b"\n")
        key = _text(name)
        if key not in commands or key in outputs:
            raise MalformedResponse(f"the host's answer is garbled: command {key[:40]!r}")
        if after != _STATUS:
            continue  # it was killed; partial output proves nothing
        code, errors = _parse_exit_status(end)
        outputs[key] = Output(
            key,
            code,
            redact(memory.take(_text(printed))),
            redact(memory.take(errors)),
            known.read_at,
            commands[key].script,
        )
    same = {name: first for name, first in request.run_as.items() if first in outputs}
    return {name: replace(outputs[first], name=name) for name, first in same.items()}


def _files_of_frames(frames: Frames, memory: _TextMemory) -> tuple[dict[str, str], dict[str, File]]:
    """Folders that could not be searched, with the reason, and the files by path.

    Raises _FilesIncomplete.
    """
    found = dict(frames)
    ended = {k: end for (k, _), (after, end) in pairwise(frames) if after == _STATUS}
    with_status = {_SEARCHABLE, _FILE_LIST, _FILE_LINES}
    in_order = [_SEARCHABLE, _FILE_LIST, _LINK_TARGETS, _FILE_LINES]
    once = [kind for kind, _ in frames if kind in in_order]
    if once != in_order or not ended.keys() >= with_status:
        raise _FilesIncomplete("the files were not read: the host's answer has a gap")
    hidden = dict(_parse_find_errors(ended[_SEARCHABLE])[1])
    count, _, records = found[_FILE_LIST].partition(b"\n")
    listed = _parse_file_list(records)
    absent, blocked = _parse_find_errors(ended[_FILE_LIST])
    if count != b"%d" % (len(listed) + absent + len(blocked)):
        raise _FilesIncomplete(
            f"the files could not be listed: {len(listed)} of {_text(count)} were"
        )
    names, _, records = found[_FILE_LINES][1:].partition(b"\0\0\n")
    if names.count(b"\0") > budgets.FILES:
        raise _FilesIncomplete(f"the host read more than {budgets.FILES} files")
    read = {_text(name) for name in names.split(b"\0")}
    content, too_large = _parse_grep_output(records)
    status, errors = _parse_exit_status(ended[_FILE_LINES])
    if status > 2 or SENTINEL_FILE not in content:
        raise _FilesIncomplete(
            f"the files could not be read: grep ended with {status}: {errors.strip()}"
        )
    if unknown := sorted((content.keys() | too_large.keys()) - read):
        # A garbled path; the file that it stands for would look empty.
        raise _FilesIncomplete(
            f"the files could not be read: grep printed a line of {unknown[0][:40]!r}"
        )
    failed = dict(_parse_grep_error(line, read) for line in errors.splitlines()) | too_large
    targets = _link_targets(found[_LINK_TARGETS][1:])
    files = _with_contents(listed, targets, read, content, failed, memory)
    return hidden | dict(blocked), {f.path: f for f in files}


_FIND_ERROR = re.compile(r"\S*find: ['`]([^\\]*)': (.+)")


def _parse_find_errors(frame: bytes) -> tuple[int, list[tuple[str, str]]]:
    """The number of paths that do not exist, and (path, reason) of those that cannot be read."""
    code, text = _parse_exit_status(frame)
    absent, _, errors = text.partition("\n")
    found = [_FIND_ERROR.fullmatch(line) for line in errors.splitlines()]
    explained = absent.isdecimal() and (code == 0 or found or int(absent))
    if code > 1 or not explained or not all(found):
        why = (errors.strip().splitlines() or [f"find ended with {code}"])[0]
        raise _FilesIncomplete(f"the files could not be listed: {why}")
    return int(absent), [(f[1], f[2]) for f in found if f]


def _parse_grep_error(line: str, paths: Collection[str]) -> tuple[str, str]:
    """The path and reason of grep's message `grep: PATH: Input/output error`."""
    program, _, rest = line.partition(": ")
    path, _, why = rest.rpartition(": ")
    if not program.endswith("grep") or path not in paths:
        raise _FilesIncomplete(f"the files could not be read: {line}")
    return path, why


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _parse_exit_status(frame: bytes) -> tuple[int, str]:
    code, _, errors = frame.partition(b"\n")
    if not re.fullmatch(rb"\d{1,3}", code):
        raise MalformedResponse(
            f"the host's answer is garbled: {code[:40]!r} is not an exit status"
        )
    return int(code), _text(errors)


def _records(data: bytes, width: int) -> Iterable[list[bytes]]:
    if data.count(b"\0") > width * budgets.FILES:
        raise _FilesIncomplete(f"the host lists more than {budgets.FILES} files")
    fields = data.split(b"\0")
    if len(fields) % width != 1:
        raise MalformedResponse("the host's list of files is garbled")
    return (fields[i : i + width] for i in range(0, len(fields) - 1, width))


def _parse_file_list(data: bytes) -> list[File]:
    files = []
    for path, kind, real, target, changed, modified, device, readable in _records(data, 8):
        followed = real if kind == b"l" and real == b"f" else kind
        files.append(
            File(
                path=_text(path),
                kind=_text(followed),
                target=_text(target) if kind == b"l" else None,
                changed=max(_seconds(changed), _seconds(modified)),
                content=() if readable == b"r" and followed == b"f" else None,
                error="" if readable == b"r" else _obstacle(kind, real, _text(target)),
                device=_device(device),
            )
        )
    return files


def _obstacle(kind: bytes, real: bytes, target: str) -> str:
    """Why a file is not readable. kind, real: find(1)'s letters of it and of a link's target."""
    if kind == b"l" and real == b"N":
        return f"a link to {target}, which is missing"
    return "not readable by this user"


def _link_targets(data: bytes) -> dict[str, tuple[float, str]]:
    """When the target of each link was changed, and its device."""
    return {
        _text(p): (max(_seconds(c), _seconds(m)), _device(d)) for p, c, m, d in _records(data, 4)
    }


def _seconds(raw: bytes) -> float:
    if not re.fullmatch(rb"-?\d{1,15}(\.\d*)?", raw):
        raise MalformedResponse("the host's list of files is garbled")
    return float(raw)


def _device(raw: bytes) -> str:
    """`8:1` of find's number, as Linux has it; os.major() knows this system's own."""
    if not re.fullmatch(rb"\d{1,20}", raw):
        raise MalformedResponse("the host's list of files is garbled")
    number = int(raw)
    major = (number & 0xFFF00) >> 8 | (number & 0xFFFFF00000000000) >> 32
    minor = number & 0xFF | (number & 0xFFFFFF00000) >> 12
    return f"{major}:{minor}"


_RECORD = re.compile(rb"([^\0]+)\0(\d{1,9}):([^\n]*)\n")


def _parse_grep_output(data: bytes) -> tuple[dict[str, list[bytes]], dict[str, str]]:
    """The lines of each file, and why files that are too large have none.

    Records are `path NUL number : line NEWLINE`; a path may contain a newline, a line may not.
    """
    content: dict[str, list[bytes]] = {}
    too_large: dict[str, str] = {}
    if data.count(b"\n") > budgets.LINES:
        raise _FilesIncomplete(f"the host's files have more than {budgets.LINES} lines")
    lines: list[bytes] = []
    name, size = "", 0
    last = b""
    at = 0
    # Each record begins where the one before it ends: a search could take quadratic time.
    while record := _RECORD.match(data, at):
        at = record.end()
        path, number, line = record.groups()
        if path != last or number == b"1":
            last, name, size = path, _text(path), 0
            lines = content[name] = []
        size += len(line) + 1
        lines.append(line)
        if number != b"%d" % len(lines):
            raise MalformedResponse("the host's files are garbled: a line is missing")
        if len(line) > budgets.LINE_BYTES:
            limit = f"line {len(lines)} is longer than {budgets.LINE_BYTES >> 10} KiB"
            too_large.setdefault(name, limit)
        elif size > budgets.FILE_BYTES:
            too_large.setdefault(name, f"it is larger than {budgets.FILE_BYTES >> 20} MiB")
        elif len(lines) > budgets.FILE_LINES:
            too_large.setdefault(name, f"it has more than {budgets.FILE_LINES} lines")
    if at != len(data):
        raise MalformedResponse("the host's files are garbled")
    return content, too_large


def _with_contents(
    files: Iterable[File],
    targets: Mapping[str, tuple[float, str]],
    read: Collection[str],
    content: Mapping[str, list[bytes]],
    failed: Mapping[str, str],
    memory: _TextMemory,
) -> Iterable[File]:
    for file in files:
        # A mask is a link to /dev/null, which every boot re-creates: only the link's time counts.
        if file.target is not None and not file.masked:
            # The later of link and target; 0 means unknown, if the target's was not reported.
            target, device = targets.get(file.path, (0.0, ""))
            changed = max(file.changed, target) if target else 0.0
            file = replace(file, changed=changed, device=device)
        if file.path in failed:
            file = replace(file, content=None, error=failed[file.path])
        elif file.content is not None and file.path not in read:
            file = replace(file, content=None, error="it changed while it was read; run again")
        elif file.content is not None and file.path in content:
            text = memory.take(_text(b"\n".join(content[file.path])))
            file = replace(file, content=tuple(redact(text).split("\n")))
        yield file
