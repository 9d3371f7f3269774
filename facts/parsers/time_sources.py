"""Lines by which the configuration of a time program names its sources.

Sources: chrony.conf(5) (server, pool, peer, refclock, include, confdir, sourcedir); ntp.conf(5)
(server, pool, includefile); ntpd.conf(5) of OpenNTPD; timesyncd.conf(5). Not a subject:
facts/time_sync.py uses it.

A source that is never selected (`noselect`), the host's own clock (127.127.1.x, `local`) and the
host itself (127.0.0.1, localhost) are no sources. Files in /run are written again at each boot, by
DHCP for instance.
"""

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from posixpath import basename

from msgspec import Struct

from facts.parsers import conf_dirs
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.unit_limits import assignments
from hale.model.evidence import ConfigLine, File, HostView, matches

TIMESYNCD_MAINS = ("/etc/systemd/timesyncd.conf", "/usr/lib/systemd/timesyncd.conf")
TIMESYNCD_MORE = conf_dirs.patterns("systemd/timesyncd.conf.d")
PATTERNS = (
    "/etc/chrony/chrony.conf",
    "/etc/chrony.conf",
    "/etc/chrony/conf.d/*.conf",
    "/etc/chrony/sources.d/*.sources",
    "/etc/chrony.d/*.conf",
    "/etc/chrony.d/*.sources",
    "/run/chrony-dhcp/*.sources",
    "/etc/ntp.conf",
    "/etc/ntpsec/ntp.conf",
    "/etc/openntpd/ntpd.conf",
    "/etc/ntpd.conf",
    *TIMESYNCD_MAINS,
    *TIMESYNCD_MORE,
)

_CHRONY_SOURCES = ("server", "pool", "peer", "refclock")
_NTP_SOURCES = (*_CHRONY_SOURCES, "broadcastclient", "multicastclient", "manycastclient")
_OPENNTPD_SOURCES = ("server", "servers", "sensor")
_OWN_CLOCK = re.compile(r"127\.127\.1\.\d+|local", re.IGNORECASE | re.ASCII)
# Reference clocks of ntpd have addresses there.
_REFERENCE = ip_network("127.127.0.0/16")
_DEPTH = 10  # of files that include each other, as chronyd has it


class TimeSources(Struct, frozen=True):
    """Lines that name a source at the next boot, and where there may be more.

    unread: why sources may be named that were not read, in sentences.
    """

    lines: tuple[ConfigLine, ...]
    unread: tuple[str, ...] = ()


def chrony(readings: HostView, main: File) -> TimeSources:
    """chronyd's sources. Raises Unreadable for a file that could not be read."""
    lines: list[ConfigLine] = []
    unread: list[str] = []
    _chrony_file(readings, main, False, lines, unread, 0)
    return TimeSources(tuple(lines), tuple(dict.fromkeys(unread)))


def _chrony_file(
    readings: HostView,
    file: File,
    sources_only: bool,
    lines: list[ConfigLine],
    unread: list[str],
    depth: int,
) -> None:
    if depth > _DEPTH:
        unread.append(f"{file.path} is included more than {_DEPTH} levels deep")
        return
    for line, words in _directives(file, "!;#%"):
        name, values = words[0].lower(), words[1:]
        if name in _CHRONY_SOURCES and values:
            if "noselect" in map(str.lower, values) or _is_itself(values[0]):
                continue
            if "offline" in map(str.lower, values):
                unread.append(f"{line} is offline until something runs `chronyc online`")
            elif conf_dirs.volatile(file.path):
                unread.append(f"{line} names {values[0]} until the next boot")
            else:
                lines.append(line)
        elif sources_only:
            continue
        elif name == "include" and values:
            for other in _included(readings, values[0], line, unread):
                _chrony_file(readings, other, False, lines, unread, depth + 1)
        elif name in ("confdir", "sourcedir"):
            suffix = ".conf" if name == "confdir" else ".sources"
            found: dict[str, File] = {}
            for folder in values:
                pattern = f"{folder.rstrip('/')}/*{suffix}"
                for other in _included(readings, pattern, line, unread):
                    found.setdefault(basename(other.path), other)
            for _, other in sorted(found.items()):
                _chrony_file(readings, other, name == "sourcedir", lines, unread, depth + 1)


def _included(
    readings: HostView, pattern: str, line: ConfigLine, unread: list[str]
) -> Iterator[File]:
    """Files that a directive includes; a pattern that no probe reads is noted in `unread`."""
    if pattern in PATTERNS:
        known = readings.files(pattern)
    elif any(matches(pattern, other) for other in PATTERNS):
        known = tuple(f for f in readings.files(*PATTERNS) if matches(f.path, pattern))
    else:
        unread.append(f"{line} includes {pattern}, which is not read")
        return
    yield from (file for file in known if file.kind == "f")


def ntp(readings: HostView, main: File) -> TimeSources:
    """The sources of ntpd, of the reference implementation and of NTPsec. Raises Unreadable."""
    lines, unread = [], []
    for line, words in _directives(main, "#"):
        name, values = words[0].lower(), words[1:]
        if name == "includefile" and values:
            unread.append(f"{line} includes {values[0]}, which is not read")
        if name not in _NTP_SOURCES or "noselect" in map(str.lower, values):
            continue
        if values and (
            _OWN_CLOCK.fullmatch(values[0]) or _is_itself(values[0], reference_clocks=True)
        ):
            continue
        lines.append(line)
    return TimeSources(tuple(lines), tuple(unread))


def openntpd(readings: HostView, main: File) -> TimeSources:
    """OpenNTPD's sources. Raises Unreadable."""
    found = [
        line
        for line, words in _directives(main, "#")
        if words[0] in _OPENNTPD_SOURCES and words[1:] and not _is_itself(words[1])
    ]
    return TimeSources(tuple(found))


def timesyncd(
    readings: HostView,
    link_servers: Sequence[str],
    compiled_in: str | None,
    private: Sequence[str] = (),
) -> TimeSources:
    """systemd-timesyncd's sources: NTP=, then FallbackNTP=, then those compiled in.

    link_servers: those of DHCP and of networkd's links, now. compiled_in: the fallback servers
    of the running program, None where it does not run. private: files and folders that its user
    cannot read, and that it passes over. Raises Unreadable.
    """
    mains = conf_dirs.persistent(readings.files(*TIMESYNCD_MAINS))[:1]
    files = [*mains, *conf_dirs.effective(conf_dirs.persistent(readings.files(*TIMESYNCD_MORE)))]
    files = [f for f in files if not {f.path, f.path.rpartition("/")[0]} & {*private}]
    assigned = False
    for key in ("NTP", "FallbackNTP"):
        chosen: list[ConfigLine] = []
        for file in files:
            for line, value, _ in assignments(file, "Time", key):
                assigned = assigned or key == "FallbackNTP"
                if not value:
                    chosen = []
                elif not all(map(_is_itself, split_words(value))):
                    chosen = [*chosen, line]
        if chosen:
            return TimeSources(tuple(chosen))
    unread = []
    if link_servers:
        unread.append(f"DHCP names {' '.join(link_servers)} until the next boot")
    if assigned:
        return TimeSources((), tuple(unread))
    if compiled_in:
        return TimeSources((ConfigLine("systemd-timesyncd", 0, f"FallbackNTP={compiled_in}"),))
    if compiled_in is None:
        unread.append("no file names a source, and which ones are compiled in is unknown")
    return TimeSources((), tuple(unread))


def _is_itself(name: str, reference_clocks: bool = False) -> bool:
    """Whether a source's name or address is that of the host itself."""
    try:
        address = ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in ("localhost", "localhost.localdomain", "ip6-localhost")
    return address.is_loopback and not (reference_clocks and address in _REFERENCE)


def _directives(file: File, comments: str) -> Iterator[tuple[ConfigLine, list[str]]]:
    """Each line with a directive, and its words; a `#` ends a line only at a word's start."""
    for number, text in enumerate(file.lines, 1):
        words = split_words(text)
        if not words or words[0][0] in comments:
            continue
        end = next((n for n, word in enumerate(words) if word.startswith("#")), len(words))
        line = ConfigLine(file.path, number, text.strip(BLANKS), changed=file.changed)
        yield line, words[:end]
