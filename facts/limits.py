"""Resource limits of a login: those in pam_limits' files, and those of a new session.

Sources: limits.conf(5) and pam_limits(8) with its source, Linux-PAM's
modules/pam_limits/pam_limits.c; getrlimit(2); Debian's pam, whose patch keeps `*` and
groups from root.

pam_limits reads limits.conf, then limits.d/*.conf in the order of the C locale. For the soft and
the hard limit separately, a line for the user takes precedence over one for a group, and that over
`*`; among equals the last one counts. A soft limit above the hard one is lowered to it. A limit
that no line sets remains sshd's own. memlock is in KiB here, as in the files.

What a login ends with is up to its shell: start-up files may lower a limit again, for good
(bash(1), `ulimit`). So `runtime` tries an interactive login shell, beside the session that PAM
opens.
`persisted` judges the files of pam_limits, with the fs.nr_open of the next boot.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from facts import sysctl
from facts.parsers import boot_commands, boot_files, boot_writes, conf_dirs, pam
from facts.parsers.blanks import is_decimal, split_words
from facts.parsers.limits_conf import LimitsEntry, Rank, User, entries, identity, rank_of
from facts.parsers.login_limits import (
    SHOWN,
    VARIABLE,
    described,
    kernel_limit,
    login_shell_limits,
    lowered_by,
    lowering_lines,
    refuse_missing_user,
    refuse_without_user,
)
from hale.inventory.ini import Host
from hale.model.evidence import (
    CommandProbe,
    ConfigLine,
    File,
    FileProbe,
    HostView,
    NotApplicable,
    Probe,
    Unreadable,
)
from hale.model.requirement import Aspect, Case
from hale.shell import load_script, variables

MAIN = "/etc/security/limits.conf"
FOLDER = "/etc/security/limits.d/*.conf"
# Read only by a PAM built for it, as in distributions that ship such files.
VENDORS = ("/usr/etc/security", "/usr/share/security")
VENDOR_MAINS = tuple(f"{folder}/limits.conf" for folder in VENDORS)
VENDOR_FOLDERS = tuple(f"{folder}/limits.d/*.conf" for folder in VENDORS)
DEBIAN = "/etc/debian_version"
MOST_FILES = "/proc/sys/fs/nr_open"
ROOT = "root"
_HERE = Path(__file__).parent
_USER = load_script(_HERE / "limits_user.sh")

# `id` of the user; no output where there is no user.
_IDENTITY = """\
[ -n "$user" ] || exit 0
exec id -- "$user"
"""
_SESSION = load_script(_HERE / "limits_session.sh")
_LIBRARY = load_script(_HERE / "limits_library.sh")


class LimitsParameters(Struct, frozen=True):
    """A limit's name in limits.conf, the minimum of its soft and hard values, and its domain.

    domain: `*` (everyone but root) or `root`. least: the minimum, in KiB for memlock. file: the
    file in which the baseline sets it.
    """

    item: str
    least: int | Literal["unlimited"]
    domain: str = "*"
    file: str = ""

    @property
    def wanted(self) -> float:
        """`least` as a number; inf for unlimited."""
        return inf if self.least == "unlimited" else self.least


class LimitsLine(Struct, frozen=True):
    """A line of pam_limits' files that affects the limit of these users.

    value: None where pam_limits may reject it, -1 where the kernel does. frees: it is `<who> -`,
    which exempts them from all limits. file: the file that contains it, links resolved.
    """

    source: ConfigLine
    domain: str
    soft: bool
    hard: bool
    value: float | None
    rank: Rank
    file: str
    frees: bool = False


class LimitsPersisted(Struct, frozen=True):
    """The limits that the files set; None where no line does.

    lost: why lines have no effect. lines: all that affect it, in reading order. place: the file
    to add a line to. stack: why a login does not use these files. refused: why the kernel would
    reject the baseline's value.
    """

    item: str
    domain: str
    soft: float | None
    hard: float | None
    sources: tuple[ConfigLine, ...] = ()
    lost: str = ""
    lines: tuple[LimitsLine, ...] = ()
    place: str | None = None
    stack: str = ""
    refused: str = ""

    def gives(self, soft: float, hard: float) -> bool:
        """Whether the files give a login exactly these limits, whatever limits it starts with."""
        return not self.lost and (self.soft, self.hard) == (soft, hard)

    @property
    def actual(self) -> str:
        winners = [s for s in self.sources if s.wins]
        where = " and ".join(dict.fromkeys(str(s) for s in winners))
        if winners:
            text = f"{where}: {described(self.item, self.soft, self.hard)} for {self.domain}"
        else:
            text = f"no line sets {self.item} for {self.domain}"
        behind = [f"{s} ({s.note})" if s.note else str(s) for s in self.sources if not s.wins]
        if behind:
            text += f" (wins over {', '.join(behind)})" if winners else f" ({', '.join(behind)})"
        return f"{text}; {self.lost}" if self.lost else text


class LimitsRuntime(Struct, frozen=True):
    """The limits of this user's new session; inf for unlimited.

    files: the limits that the files set, None where they are unknown; stack: as in
    LimitsPersisted. lowered: how the login shell lowers what PAM gives, empty where it does not;
    sources: then the lines of its start-up files that may.
    """

    item: str
    user: str
    soft: float
    hard: float
    how: str = ""
    sources: tuple[ConfigLine, ...] = ()
    files: LimitsPersisted | None = None
    stack: str = ""
    lowered: str = ""

    @property
    def actual(self) -> str:
        text = f"a fresh login of {self.user} gets {described(self.item, self.soft, self.hard)}"
        return f"{text} ({self.how})" if self.how else text


def probes(host: Host, cases: Sequence[Case[LimitsParameters]]) -> tuple[Probe, ...]:
    """The files of pam_limits, PAM and sshd; the user's identity; a session of that user."""
    names = {
        "root" if case.parameters.domain == ROOT else "user": _requested_user(host, case.parameters)
        for case in cases
    }
    fresh = {
        "root" if case.parameters.domain == ROOT else "user"
        for case in cases
        if case.aspect is Aspect.RUNTIME
    }
    return (
        FileProbe(
            MAIN,
            FOLDER,
            *VENDOR_MAINS,
            *VENDOR_FOLDERS,
            DEBIAN,
            MOST_FILES,
            *sysctl.LINE_PATTERNS,
            *pam.PATTERNS,
            *pam.SSHD_PATTERNS,
            *pam.SSHD_START,
        ),
        boot_files.PROBE,
        *boot_commands.probes(cases),
        CommandProbe("library", _LIBRARY),
        *(
            CommandProbe(f"identity_{who}", variables(user=name) + _USER + _IDENTITY)
            for who, name in names.items()
        ),
        *(
            CommandProbe(
                f"session_{who}",
                variables(user=names[who]) + _USER + _SESSION,
            )
            for who in sorted(fresh)
        ),
    )


def _requested_user(host: Host, parameters: LimitsParameters) -> str:
    """The user's name; empty for the host's first ordinary user."""
    return ROOT if parameters.domain == ROOT else host.get(VARIABLE)


def read_runtime(readings: HostView, case: Case[LimitsParameters]) -> LimitsRuntime:
    """The limits of a login now. Raises Unreadable where no such session can be tried, and
    NotApplicable where the host has no ordinary user whose login it could be.

    runuser opens the session, because its PAM stack calls pam_limits as sshd's does. Where sshd's
    stack does not call it, a login keeps sshd's own limits.
    """
    parameters = case.parameters
    item = parameters.item
    lost, called = _passes_limits(readings)
    output = readings.output("session_root" if parameters.domain == ROOT else "session_user")
    lines = output.lines
    refuse_missing_user(lines)
    if lines[:1] == ["no-ordinary-user"]:
        refuse_without_user(lines)
    user = next((line[5:] for line in lines if line.startswith("user ")), "")
    if lost:
        sshd = next((line for line in lines if line.startswith("sshd ")), "")
        found = re.search(rf"\b{item}=(\w+):(\w+)", sshd, re.ASCII)
    else:
        _same_call(readings, called)
        shown = next((line for line in lines if line.startswith(SHOWN[item])), "")
        found = re.match(r"\s+(\w+)\s+(\w+)", shown[len(SHOWN[item]) :], re.ASCII)
    if not found or not user:
        raise Unreadable(f"{output.name}: no {item} in what it printed")
    soft, hard = kernel_limit(item, found[1]), kernel_limit(item, found[2])
    how = f"sshd's own limits: {lost}" if lost else ""
    lowered = ""
    sources: tuple[ConfigLine, ...] = ()
    given = soft, hard
    files: LimitsPersisted | None = None
    with suppress(Unreadable):
        files = read_persisted(readings, case)
    # The session started from lower limits than sshd's; if the files set both limits, that does
    # not affect the result.
    if not lost and f"kept {item}" in lines and not (files and files.gives(soft, hard)):
        raise Unreadable(
            f"{output.name}: root came through sudo, whose {item} is lower than sshd's, and may "
            "not raise it (no CAP_SYS_RESOURCE): log in as root to try a login"
        )
    # Without PAM the shell's limits were not tried from those that sshd gives.
    if not lost and (ends := login_shell_limits(lines, item)):
        # No user but root may raise the hard limit: what claims so is text of a start-up file.
        most = inf if parameters.domain == ROOT else given[1]
        soft, hard = min(ends[0], most), min(ends[1], most)
        if soft < given[0] or hard < given[1]:
            sources = tuple(lowering_lines(lines))
            lowered = how = lowered_by(lines, item, given, sources)
    return LimitsRuntime(item, user, soft, hard, how, sources, files, lost, lowered)


@boot_files.kept_by_boot
def read_persisted(readings: HostView, case: Case[LimitsParameters]) -> LimitsPersisted:
    """The limits that pam_limits sets at a login, for the domain and for the user that is tried.

    The lower of the two counts, so that a line for that user or one of their groups is included.
    Raises Unreadable.
    """
    parameters = case.parameters
    lost, _ = _passes_limits(readings)
    read = _read(readings)
    if parameters.domain == ROOT:
        user = identity(readings.text("identity_root"))
        if user is None:
            raise Unreadable("the host has no root")
        found = _decided(readings, read, parameters, user)
    else:
        found = _decided(readings, read, parameters, None)
        user = _ordinary_user(readings)
        if user:
            own = _decided(readings, read, parameters, user)
            found = min(found, own, key=lambda p: min(_or_less(p.soft), _or_less(p.hard)))
    enough = min(_or_less(found.soft), _or_less(found.hard)) >= parameters.wanted
    if case.aspect is Aspect.PERSISTED and enough and not lost:
        _refuse_writes(readings, found)
    return replace(
        _unlimited_files(readings, found),
        lost="; ".join(part for part in (found.lost, lost) if part),
        lines=tuple(_lines(readings, read, parameters, user)),
        place=_place(readings, parameters.file),
        stack=lost,
        refused=_refused(readings, parameters.item, parameters.wanted),
    )


def _ordinary_user(readings: HostView) -> User | None:
    """The user that is tried; None on a host without an ordinary user. Raises Unreadable."""
    output = readings.output("identity_user")
    with suppress(NotApplicable):
        refuse_missing_user(output.lines)
        return identity(readings.text("identity_user"))
    return None


def _refuse_writes(readings: HostView, found: LimitsPersisted) -> None:
    """Raises Unreadable where a command of a boot may write the files of pam_limits."""
    winners = [source for source in found.sources if source.wins]
    words = [found.item, *(source.text.lower() for source in winners)]
    targets = (MAIN, FOLDER.removesuffix("*.conf"))
    boot_writes.refuse(readings, targets, boot_writes.Interest(words, winners))


def _lines(
    readings: HostView, read: Sequence[File], parameters: LimitsParameters, user: "User | None"
) -> Iterator[LimitsLine]:
    """All lines that affect the domain, or the user that is tried."""
    spares_root = readings.file(DEBIAN) is not None
    for file in read:
        real = conf_dirs.leads_to(file)
        for entry in entries([file], parameters.item):
            frees = isinstance(entry, ConfigLine)
            domain = split_words(entry.text)[0] if isinstance(entry, ConfigLine) else entry.domain
            rank = rank_of(domain, user, spares_root) if user else None
            if rank is None and parameters.domain != ROOT:
                rank = rank_of(domain, None, spares_root)
            if rank is None or (frees and rank == Rank.DEFAULT):
                continue
            if isinstance(entry, ConfigLine):
                yield LimitsLine(entry, domain, True, True, None, rank, real, frees=True)
                continue
            value = entry.value
            if value is not None and _refused(readings, parameters.item, value):
                value = -1
            yield LimitsLine(entry.source, domain, entry.soft, entry.hard, value, rank, real)


def _place(readings: HostView, path: str) -> str | None:
    """The file to add a line to: `path`, or one in limits.d; None where neither is possible.

    A new limits.conf would hide a package's. Where lines end in a carriage return, the new one
    would too, and pam_limits rejects a word with one.
    """
    folder = FOLDER.rpartition("/")[0]
    main = readings.file(path)
    if main is None and not readings.files(*VENDOR_MAINS):
        return path
    plain = (
        main is not None and main.kind == "f" and conf_dirs.is_editable(conf_dirs.leads_to(main))
    )
    if main and plain and not any(line.endswith("\r") for line in main.lines[-1:]):
        return conf_dirs.leads_to(main)
    found = readings.files(FOLDER, *VENDOR_FOLDERS)
    return conf_dirs.writable_location(found, f"{folder}/{path.rpartition('/')[2]}")


def _decided(
    readings: HostView, read: Sequence[File], parameters: LimitsParameters, user: User | None
) -> LimitsPersisted:
    """The winning lines for this user; for None, those for `*` only."""
    who = user.name if user else parameters.domain
    spares_root = readings.file(DEBIAN) is not None
    won: dict[str, tuple[Rank, LimitsEntry]] = {}
    losers: list[ConfigLine] = []
    for entry in entries(read, parameters.item):
        if isinstance(entry, ConfigLine):  # `<who> -`: no limits at all, whatever other lines set
            if user and rank_of(split_words(entry.text)[0], user, spares_root) in (
                Rank.MINE,
                Rank.GROUP,
            ):
                why = f"{entry} takes {who} out of all limits"
                return LimitsPersisted(parameters.item, who, None, None, (entry,), why)
            continue
        rank = rank_of(entry.domain, user, spares_root)
        if rank is None:
            continue
        if entry.value is None:
            losers.append(replace(entry.source, note="no value that every pam_limits takes"))
            continue
        if refused := _refused(readings, parameters.item, entry.value):
            entry = replace(entry, source=replace(entry.source, note=refused), value=-1)
        for side, set_here in (("soft", entry.soft), ("hard", entry.hard)):
            if not set_here:
                continue
            if side in won and won[side][0] < rank:
                losers.append(entry.source)
                continue
            if side in won:
                losers.append(won[side][1].source)
            won[side] = (rank, entry)
    # The kernel accepts soft and hard together or not at all.
    if any(line.value == -1 for _, line in won.values()):
        none = [*(line.source for _, line in won.values()), *losers]
        return LimitsPersisted(parameters.item, who, None, None, tuple(dict.fromkeys(none)))
    soft, hard = (won[s][1].value if s in won else None for s in ("soft", "hard"))
    if soft is not None and hard is not None and soft > hard:
        soft = hard  # as pam_limits does
    winners = dict.fromkeys(won[s][1].source for s in ("soft", "hard") if s in won)
    return LimitsPersisted(
        parameters.item,
        who,
        soft,
        hard,
        (
            *(replace(source, wins=True) for source in winners),
            *dict.fromkeys(s for s in losers if s not in winners),
        ),
    )


def most_files(readings: HostView) -> int:
    """The kernel's fs.nr_open. Raises Unreadable."""
    file = readings.file(MOST_FILES)
    if file is None:
        raise Unreadable(f"{MOST_FILES} does not exist: is /proc mounted?")
    text = "".join(file.lines)
    if not is_decimal(text) or len(text) > 20:
        raise Unreadable(f"{MOST_FILES}: {text[:40]!r} is not a number")
    return int(text)


def _refused(readings: HostView, item: str, value: float) -> str:
    """Why the kernel would reject this value; empty where it would not. Only nofile is bounded."""
    if item != "nofile":
        return ""
    most = most_files(readings)
    if value == inf:
        found = re.findall(r"pam_limits\.so:([0-9]+)", readings.text("library"))
        known = bool(found) and all(int(count) for count in found)
        return "" if known else "this pam_limits cannot set nofile to unlimited: give a number"
    if value > most:
        return f"above the kernel's fs.nr_open, {most}"
    then, why = sysctl.most_files_at_boot(readings, most)
    return f"above the fs.nr_open of the next boot, {then} ({why})" if value > then else ""


def _unlimited_files(readings: HostView, found: LimitsPersisted) -> LimitsPersisted:
    """With fs.nr_open of the next boot in the place of an unlimited nofile, where it is lower."""
    if found.item != "nofile" or inf not in (found.soft, found.hard):
        return found
    most = most_files(readings)
    then, _ = sysctl.most_files_at_boot(readings, most)
    if then >= most:
        return found
    soft, hard = (None if v is None else min(v, then) for v in (found.soft, found.hard))
    return replace(found, soft=soft, hard=hard)


def _read(readings: HostView) -> list[File]:
    """The files in pam_limits' order. A file in /etc hides the vendor's file of that name."""
    mains = [f for f in readings.files(MAIN, *VENDOR_MAINS) if f.kind == "f"]
    return [*mains[:1], *conf_dirs.effective(readings.files(FOLDER, *VENDOR_FOLDERS))]


def _passes_limits(readings: HostView) -> tuple[str, tuple[str, ...]]:
    """Why an ssh login gets no limits from these files (empty if it does), and pam_limits'
    arguments."""
    if without := pam.sshd_without_pam(readings):
        return f"logins bypass PAM: {without}", ()
    calls = pam.calls(readings, "sshd", "session", "pam_limits.so")
    if not calls:
        return "logins bypass pam_limits: the stack of /etc/pam.d/sshd does not call it", ()
    for call in calls:
        if any(a.startswith("conf=") for a in call.arguments):
            raise Unreadable(f"{call.source} has pam_limits read other files: {call.source.text}")
    return "", calls[-1].arguments


def _same_call(readings: HostView, called: tuple[str, ...]) -> None:
    """Raises Unreadable unless runuser's session is equivalent to one of sshd's."""
    calls = pam.calls(readings, "runuser", "session", "pam_limits.so")
    if not calls or calls[-1].arguments != called:
        raise Unreadable(
            "sshd's sessions cannot be tried: the stack of /etc/pam.d/runuser does not call "
            "pam_limits as sshd's does"
        )


def _or_less(value: float | None) -> float:
    return -1 if value is None else value
