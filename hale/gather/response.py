"""Parses a host's response: the outputs of commands, and the files as they were read.

A file that was not read must never look like an absent one. A file is absent only if the host's
kernel reports it (find's "No such file or directory"), and every listed file must have been read;
a tool that is missing, too old, killed or given too much input makes all files unreadable. The
response is compressed, with a checksum: a part of it is not a response.
"""

import base64
import re
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from msgspec.structs import replace

from hale.gather import request as letters
from hale.gather.request import SENTINEL_FILE, ProbeRequest
from hale.model.evidence import Evidence, File, Output
from hale.redact import redact


class MalformedResponse(Exception):
    """This is not a valid response; the message gives the reason."""


class _FilesIncomplete(Exception):
    """The files were not read completely; the outputs of commands may be valid."""


_NONCE = re.compile(rb"[0-9a-f-]{36}")
MAX_RESPONSE = 64 << 20  # bytes, uncompressed
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
    _, started, rest = stdout.partition(token + b"\n")
    packed, ended, _ = rest.partition(token)
    if not started:
        raise MalformedResponse("the host did not run the script")
    if not ended:
        raise MalformedResponse("the host's answer is truncated")
    unpacker = zlib.decompressobj(wbits=31)  # gzip
    try:
        answer = unpacker.decompress(base64.b64decode(packed), MAX_RESPONSE)
    except (ValueError, zlib.error):
        raise MalformedResponse("the host's answer is garbled") from None
    if unpacker.unconsumed_tail:
        raise MalformedResponse(f"the host's answer is longer than {MAX_RESPONSE >> 20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedResponse("the host's answer is truncated")
    return answer


def parse_response(known: Evidence, request: ProbeRequest, token: bytes, stdout: bytes) -> Evidence:
    """`known`, completed by what the host printed. Raises MalformedResponse.

    Files that could not be read completely set `files_error`; the outputs of commands count
    nevertheless.
    """
    nonce, _, rest = decode(stdout, token).partition(b"\n")
    if not _NONCE.fullmatch(nonce):
        raise MalformedResponse("the host's answer is garbled")
    frames = [(f[1:2], f[3:] if f[2:3] == b" " else f[2:]) for f in rest.split(nonce)[1:]]
    if not frames or frames[-1][0] != _END:
        raise MalformedResponse("the host's answer is truncated")
    listed: dict[str, File] = {}
    hidden: dict[str, str] = {}
    files_error = ""
    try:
        if request.patterns:
            hidden, listed = _files_of_frames(frames)
    except _FilesIncomplete as error:
        files_error = str(error)
    clock = re.fullmatch(rb"(\d+\.\d+)\n?", frames[-1][1])
    return replace(
        known,
        outputs=_outputs_of_frames(known, request, frames),
        files=listed,
        unsearchable=hidden,
        files_error=redact(files_error),
        clock=float(clock[1]) if clock else None,
    )


def _outputs_of_frames(known: Evidence, request: ProbeRequest, frames: Frames) -> dict[str, Output]:
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
            key, code, redact(_text(printed)), redact(errors), known.read_at, commands[key].script
        )
    return outputs


def _files_of_frames(frames: Frames) -> tuple[dict[str, str], dict[str, File]]:
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
    names, _, records = found[_FILE_LINES][1:].partition(b"\0\0")
    read = {_text(name) for name in names.split(b"\0")}
    content = _parse_grep_output(records)
    status, errors = _parse_exit_status(ended[_FILE_LINES])
    if status > 2 or SENTINEL_FILE not in content:
        raise _FilesIncomplete(
            f"the files could not be read: grep ended with {status}: {errors.strip()}"
        )
    if unknown := sorted(content.keys() - read):
        # A garbled path; the file that it stands for would look empty.
        raise _FilesIncomplete(
            f"the files could not be read: grep printed a line of {unknown[0][:40]!r}"
        )
    failed = dict(_parse_grep_error(line, read) for line in errors.splitlines())
    files = _with_contents(
        listed, _link_target_times(found[_LINK_TARGETS][1:]), read, content, failed
    )
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
    fields = data.split(b"\0")
    if len(fields) % width != 1:
        raise MalformedResponse("the host's list of files is garbled")
    return (fields[i : i + width] for i in range(0, len(fields) - 1, width))


def _parse_file_list(data: bytes) -> list[File]:
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


def _parse_grep_output(data: bytes) -> dict[str, list[bytes]]:
    """Records `path NUL number : line NEWLINE`; a path may contain a newline, a line may not."""
    content: dict[str, list[bytes]] = {}
    lines: list[bytes] = []
    unparsed = len(data)
    last = b""
    for path, number, line in _RECORD.findall(data):
        unparsed -= len(path) + len(number) + len(line) + 3
        if path != last or number == b"1":
            last = path
            lines = content[_text(path)] = []
        lines.append(line)
        if number != b"%d" % len(lines):
            raise MalformedResponse("the host's files are garbled: a line is missing")
    if unparsed:
        raise MalformedResponse("the host's files are garbled")
    return content


def _with_contents(
    files: Iterable[File],
    target_times: Mapping[str, float],
    read: Collection[str],
    content: Mapping[str, list[bytes]],
    failed: Mapping[str, str],
) -> Iterable[File]:
    for file in files:
        # A mask is a link to /dev/null, which every boot re-creates: only the link's time counts.
        if file.target is not None and not file.masked:
            # The later of link and target; 0 means unknown, if the target's was not reported.
            target = target_times.get(file.path)
            file = replace(file, changed=max(file.changed, target) if target else 0.0)
        if file.path in failed:
            file = replace(file, content=None, error=failed[file.path])
        elif file.content is not None and file.path not in read:
            file = replace(file, content=None, error="it changed while it was read; run again")
        elif file.content is not None and file.path in content:
            text = redact("\n".join(_text(line) for line in content[file.path]))
            file = replace(file, content=tuple(text.split("\n")))
        yield file
