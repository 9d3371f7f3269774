"""Commands that a boot runs and that may write a file which another subject reads. Not a subject.

A command that names the file counts, unless it is known to read alone. What is appended counts
where it is not written out, or has a word that matters to the reader; so does a deletion by sed(1)
whose expression is not plain text, or whose text is in a line that matters.

Sources: those of facts/parsers/boot_commands.py; sed(1), `-i`; sh(1), "Redirection".
"""

import re
from collections.abc import Collection, Iterator

from facts.parsers import boot_commands
from facts.parsers.blanks import split_words
from facts.parsers.ip_command import commands
from hale.model.evidence import ConfigLine, HostView

# Programs that read their files, or write into others than those that they read.
_NAMES = (
    "grep egrep fgrep zgrep cat head tail cut sort uniq wc tr test [ [[ diff cmp md5sum "
    "sha256sum stat ls file less getent awk gawk mawk logger echo printf read readlink "
    "restorecon source . inotifywait while done until chown chmod chcon hostname"
)
_READERS = frozenset(split_words(_NAMES))
# Programs that write their last word alone.
_COPY = ("cp", "install", "rsync", "scp", "ln")
_IN_PLACE = re.compile(r"-[A-Za-z]*i|--in-place")
_DELETION = re.compile(r"/((?:[\w .:@=-]|\\[.])+)/d", re.ASCII)
_APPENDED = re.compile(
    r"(?:echo|printf)[ \t]+(?:-\w+[ \t]+)*([\"'])([^\"'$`]*)\1[ \t]*>>", re.ASCII
)


def pattern(path: str) -> str:
    """The lines that name the file, for boot_commands.probe()."""
    return rf"{re.escape(path)}([^A-Za-z0-9_./-]|$)"


def writes(readings: HostView, path: str, words: Collection[str]) -> Iterator[ConfigLine]:
    """The lines that may write the file. words: those in its lines that matter, in small letters.

    Raises Unreadable.
    """
    for command in boot_commands.commands(readings, pattern(path)):
        if _writes(command.text, path, words):
            yield command.source


def sentence(line: ConfigLine, path: str) -> str:
    """Why the file may be another after a boot, and what to look at."""
    return f"{line} may write {path} after a boot ({line.text[:120]}): what it has then is unknown"


def _writes(text: str, path: str, words: Collection[str]) -> bool:
    into = rf">+\|?[ \t]*[\"']?{re.escape(path)}(?![\w./-])"
    appended = _APPENDED.search(text)
    if appended and f">>{path}" in re.sub(r">>[ \t]*[\"']?", ">>", text):
        return _has(appended[2], words)
    if re.search(into, text, re.ASCII):
        return True
    without = re.sub(rf"<[ \t]*[\"']?{re.escape(path)}(?![\w./-])", "", text, flags=re.ASCII)
    return any(_command_writes(one, path, words) for one in commands(without))


def _command_writes(given: list[str], path: str, words: Collection[str]) -> bool:
    at = next((n for n, word in enumerate(given) if path in word), -1)
    if at < 0 or any(blank in given[at] for blank in " \t\n"):  # a script, which is judged itself
        return False
    names = [word.lstrip("`$({-@+!").rpartition("/")[2] for word in given[: at + 1]]
    if "sed" in names or "perl" in names:
        if not any(_IN_PLACE.match(word) for word in given):
            return False
        deletions = [found for word in given if (found := _DELETION.fullmatch(word))]
        return not deletions or any(_has(found[1].replace("\\", ""), words) for found in deletions)
    if any(name in _COPY for name in names[:at]):
        return given[-1] == path
    return not any(name in _READERS for name in names[:at])


def _has(text: str, words: Collection[str]) -> bool:
    return any(word in text.lower() for word in words) or any(
        text.lower() in word for word in words
    )
