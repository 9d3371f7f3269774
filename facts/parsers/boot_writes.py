"""Commands that a boot runs and that may write a file which another subject reads. Not a subject.

Those that units run as they stop count too: a reboot comes to them before the boot.

A command that names the file counts, unless it is known to read alone; in a package's own script
(below /usr), only one that is known to write. So does one that copies or unpacks into its folder.
Text that is written out counts where it has a word that matters to the reader, or replaces a line
that decides; so does an expression of sed(1) that is not plain text, or whose text is in a line
that matters. Copies of the file, and what containers mount, do not.

Sources: those of facts/parsers/boot_commands.py; sed(1), `-i`; sh(1), "Redirection"; cp(1), ln(1),
install(1), `--target-directory`; tar(1), `--extract`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from posixpath import normpath

from msgspec import Struct

from facts.parsers import boot_commands, script_paths
from facts.parsers.blanks import BLANKS, split_words
from facts.parsers.ip_command import commands
from hale.model.evidence import ConfigLine, HostView, Unreadable, matches

# Programs that read their files, or write into others than those that they read.
_READERS = frozenset(
    split_words(
        "grep egrep fgrep zgrep cat head tail cut sort uniq wc tr test [ [[ diff cmp md5sum "
        "sha1sum sha256sum sha512sum stat ls file less getent awk gawk mawk logger echo printf "
        "read readlink realpath restorecon source . inotifywait while done until chown chmod chcon "
        "setfacl chattr lsattr hostname sysctl systemd-sysctl umount findmnt fstrim swapon swapoff "
        "modprobe touch mkdir auditctl docker podman nerdctl ctr crictl"
    )
)
# Programs that write their last word alone, or into a folder that an option names.
_COPY = ("cp", "install", "rsync", "scp", "ln", "mv")
_INTO = re.compile(r"(?:-t|--target-directory=?)(.*)")
_UNPACKS = re.compile(r"-?[A-Za-z]*x[A-Za-z]*|--(?:extract|get)")
_IN_PLACE = re.compile(r"-[A-Za-z]*i|--in-place")
_TEXT = r"(?:[\w .:@=*-]|\\[./*])+"
_DELETION = re.compile(rf"/\^?(?P<text>{_TEXT})\$?/d", re.ASCII)
_CHANGE = re.compile(rf"s([/|#,])\^?(?P<text>{_TEXT}?)\$?\1(?P<new>{_TEXT})?\1[gI]*", re.ASCII)
# What deletes lines, or comments them out.
_TAKES_OUT = re.compile(
    r"(?:/.*/|[0-9$]*)I?d|(?:/.*/I?[ \t]*)?s(?P<by>[/|,@])(?:(?!(?P=by)).)*(?P=by)[ \t]*#"
    r"(?:(?!(?P=by)).)*(?P=by)[gI]*",
    re.ASCII,
)
# Longer texts are not judged: a line of 64 KiB may have ten thousand of these commands.
_LITERAL = (
    r"(?:echo|printf)[ \t]+(?:-\w+[ \t]+)*"
    r"(?:\"(?P<double>[^\"$`%]{0,499})\"|'(?P<single>[^'%]{0,499})'"
    r"|(?P<bare>[^\"'$`%|;&<>\\]{1,499}?))[ \t]*"
    r"(?:(?P<to>>{1,2})\|?|\|[ \t]*(?:sudo[ \t]+)?(?P<tee>tee(?:[ \t]+(?:-a|--append))?)[ \t])"
    r"[ \t]*[\"']?"
)
_LAST = r"(?![\w./*@-])"
_NAME = r"[\w.*@+%${}-]*"
_PACKAGES = ("/usr/", "/lib/", "/sbin/", "/bin/")
# What a boot's script names beside the file itself: the folder that is copied into.
_FOLDER = r"|(^|[^A-Za-z0-9_.-])(cp|mv|ln|install|rsync|tar|mount)([ \t]|$)"


class Interest(Struct, frozen=True):
    """What of a file matters to its reader.

    words: those in its lines, in small letters. deciding: the lines that decide now; where there
    are some, what replaces other lines does not matter. removals: whether it matters that lines are
    deleted or commented out. lines_known: whether the caller judges the lines of a script that are
    text of the file (`cat >FILE <<EOF`), so that only a file with a deciding line matters.
    """

    words: Collection[str]
    deciding: Sequence[ConfigLine] = ()
    removals: bool = True
    lines_known: bool = False

    def has(self, text: str) -> bool:
        """Whether a text concerns one of the words."""
        text = text.lower().strip(BLANKS)
        return bool(text) and any(word in text or text in word for word in self.words)

    def decided_in(self, path: str) -> bool:
        """Whether a line decides that is in this file, or none is known."""
        return not self.deciding or path in [line.path for line in self.deciding]


def pattern(path: str) -> str:
    """The lines that name the file, or a file of the folder (`/etc/sysctl.d/`)."""
    end = "" if path.endswith("/") else "([^A-Za-z0-9_./-]|$)"
    return f"{re.escape(path)}{end}"


def writes(readings: HostView, target: str, interest: Interest) -> Iterator[ConfigLine]:
    """The lines that may write the file; a target that ends with `/` is any *.conf in the folder.

    Raises Unreadable.
    """
    for command in boot_commands.commands(readings, pattern(target) + _FOLDER, stopping=True):
        if _writes(command, target, interest):
            yield command.source


def refuse(readings: HostView, targets: Iterable[str], interest: Interest) -> None:
    """Raises Unreadable where a boot's command may write one of the files, or that is unknown."""
    for target in targets:
        for line in writes(readings, target, interest):
            raise Unreadable(sentence(line, target))


def refuse_files(readings: HostView, paths: Iterable[str]) -> None:
    """As `refuse`, for files of which all lines matter. Raises Unreadable."""
    refuse(readings, dict.fromkeys(p for p in paths if p.startswith("/etc/")), Interest(("",)))


def sentence(line: ConfigLine, path: str) -> str:
    """Why the file may be another after a boot, and what to look at."""
    what = f"files in {path}" if path.endswith("/") else path
    return f"{line} may write {what} after a boot ({line.text[:120]}): what it has then is unknown"


def only_reads(text: str, path: str, script: str) -> bool:
    """Whether no command of the line can write the file, of which the line has the path.

    script: the file that the line is in.
    """
    return not _one_writes(text, path, Interest(()), _packaged(script))


def _packaged(script: str) -> bool:
    return script.startswith(_PACKAGES) and not script.startswith("/usr/local/")


def _writes(command: boot_commands.BootCommand, target: str, interest: Interest) -> bool:
    text, packaged = command.text, _packaged(command.source.path)
    name = re.escape(target) + (_NAME if target.endswith("/") else _LAST)
    return any(
        _one_writes(text, path, interest, packaged)
        for path in dict.fromkeys(re.findall(rf"(?<![\w.-]){name}", text, re.ASCII))
        if _counts(path, target)
    ) or any(_fills(words, target) for words in commands(text))


def _counts(path: str, target: str) -> bool:
    """Whether a file of this name in a folder is read, or may be."""
    return not target.endswith("/") or path.endswith((".conf", "/")) or any(c in path for c in "*$")


def _one_writes(text: str, path: str, interest: Interest, packaged: bool) -> bool:
    if literal := re.search(rf"{_LITERAL}{re.escape(path)}{_LAST}", text, re.ASCII):
        return _matters(literal, path, interest)
    if re.search(rf"(?<!>)>+\|?[ \t]*[\"']?{re.escape(path)}{_LAST}", text, re.ASCII):
        return not interest.lines_known or "<<" not in text or interest.decided_in(path)
    without = re.sub(rf"<[ \t]*[\"']?{re.escape(path)}{_LAST}", "", text, flags=re.ASCII)
    opened = (
        rf"\bopen[ \t]*\([ \t]*[\"']{re.escape(path)}[\"'][ \t]*(,[ \t]*[\"']r[bt]?[\"'][^)]*)?\)"
    )
    without = re.sub(opened, "", without, flags=re.ASCII)
    return any(_command_writes(words, path, interest, packaged) for words in commands(without))


def _matters(literal: "re.Match[str]", path: str, interest: Interest) -> bool:
    """Whether a text that is written out changes what the file decides."""
    text = (literal["double"] or literal["single"] or literal["bare"] or "").strip(BLANKS)
    if text in [line.text for line in interest.deciding]:
        return False
    appends = literal["to"] == ">>" or (literal["tee"] or "").endswith(("-a", "--append"))
    return interest.has(text) or not (appends or not interest.decided_in(path))


def _fills(given: Sequence[str], target: str) -> bool:
    """Whether a command copies or unpacks files into the folder that the file is in."""
    names = [_program(word) for word in given]
    at = next((n for n, name in enumerate(names) if name in (*_COPY, "tar")), len(names))
    rest = given[at + 1 :]
    if "mount" in names and any(w in given for w in ("--bind", "--rbind", "bind", "tmpfs")):
        return given[-1].startswith("/etc") and target.startswith(_as_folder(given[-1]))
    if names[at : at + 1] == ["tar"]:
        folders = [after for word, after in pairwise(rest) if word in ("-C", "--directory")]
        folders += [word.partition("=")[2] for word in rest if word.startswith("--directory=")]
        return _unpacks(rest) and any(target.startswith(_as_folder(f)) for f in folders)
    named = [
        found[1] or after
        for word, after in pairwise([*rest, ""])
        if (found := _INTO.fullmatch(word))
    ]
    plain = [word for word in rest if not word.startswith("-") and word not in named]
    *sources, last = [*plain, *named] or [""]
    folder = _as_folder(last)
    if last == target or not target.startswith(folder):
        return False
    below = target.removeprefix(folder).partition("/")[0]
    for source in sources:
        name = source.rpartition("/")[2]
        if name in ("", ".", "*") or name == below or (below and matches(below, name)):
            return True
        if not below and name.endswith(".conf"):
            return True
    return False


def _as_folder(path: str) -> str:
    """The path with a slash behind it; of a relative one, what no path begins with."""
    return f"{normpath(path).rstrip('/')}/" if path.startswith("/") else "\0"


def _unpacks(rest: Sequence[str]) -> bool:
    return any(map(_UNPACKS.fullmatch, rest[:1])) or "--extract" in rest or "-x" in rest


def _program(word: str) -> str:
    """The name of the program that a word may be, also behind `x=$(` and `ExecStart=`."""
    return re.split(r"[`=($]", word)[-1].lstrip("{-@+!:").rpartition("/")[2]


def _command_writes(given: Sequence[str], path: str, interest: Interest, packaged: bool) -> bool:
    exact = re.compile(rf"{re.escape(path)}{_LAST}", re.ASCII)
    at = next((n for n, word in enumerate(given) if exact.search(word)), -1)
    if at < 0 or any(blank in given[at] for blank in " \t\n"):  # a script, which is judged itself
        return False
    names = [_program(word) for word in given[: at + 1]]
    before = frozenset(names[:at])
    if names and {"sed", "perl"} & frozenset(names):
        return any(map(_IN_PLACE.match, given)) and _edits(given, exact, interest)
    if before & frozenset(_COPY):
        return "mv" in before or given[-1] == path or any(map(_INTO.fullmatch, given))
    if "mount" in before:  # over the file, and not of the table of that name
        return given[-1] == path and given[at - 1] not in ("-T", "--fstab")
    if "tar" in before:
        return _unpacks(given[names.index("tar") + 1 :])
    if packaged:
        return bool(before & (script_paths.WRITERS - _READERS))
    return "inplace" in given or not before & _READERS


def _edits(given: Sequence[str], exact: "re.Pattern[str]", interest: Interest) -> bool:
    """Whether an expression of sed changes a line that matters, or may."""
    start = next(n for n, word in enumerate(given) if _program(word) in ("sed", "perl"))
    every = [w for w in given[start + 1 :] if not w.startswith("-") and not exact.search(w)]
    for word in every:
        if not interest.removals and _TAKES_OUT.fullmatch(word):
            continue
        found = _DELETION.fullmatch(word) or _CHANGE.fullmatch(word)
        if not found:
            return True
        for text in (found["text"], found.groupdict().get("new") or ""):
            plain = re.sub(r"\\(.)", r"\1", text)
            same = text is not found["text"] and plain in [line.text for line in interest.deciding]
            if interest.has(plain) and not same:
                return True
    return not every
