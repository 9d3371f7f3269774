"""The kubelet's configuration at its next start: its command line, and keys of its file.

A flag wins over the file. The command line is that of the unit and its drop-ins, with the
variables that these and their files set; where there is no such unit, that of kubeadm's package.

Sources: kubernetes.io, "Set kubelet parameters via a configuration file" (precedence, drop-in
folder), "Kubelet configuration (v1beta1)"; kubeadm's kubelet integration (kubeadm-flags.env,
KUBELET_EXTRA_ARGS); systemd.service(5), "COMMAND LINES".
"""

import re
from collections.abc import Iterator, Sequence

from facts.parsers import unit_settings
from facts.parsers.blanks import BLANKS
from hale.model import budgets
from hale.model.evidence import Allowance, ConfigLine, File, HostView, Unreadable

UNIT = "kubelet.service"
PROGRAM = "kubelet"
PATH = "/var/lib/kubelet/config.yaml"
# Files of environment variables in kubeadm's drop-in for kubelet.service, the last one wins.
OPTION_FILES = (
    "/var/lib/kubelet/kubeadm-flags.env",
    "/etc/default/kubelet",
    "/etc/sysconfig/kubelet",
)
# The folder that kubernetes.io names for --config-dir.
FOLDER = "/etc/kubernetes/kubelet.conf.d"
PATTERNS = (PATH, f"{FOLDER}/*.conf", *OPTION_FILES, *unit_settings.patterns(UNIT))

Word = tuple[ConfigLine, str]
_ALONE = re.compile(r"\$(\w+)", re.ASCII)
_PART = re.compile(r"\$\{(\w+)\}", re.ASCII)
_VARIABLE = re.compile(r"\$(\w+|\{\w+\})", re.ASCII)


def effective(readings: HostView, flag: str, key: str) -> tuple[str, ConfigLine] | None:
    """The value of a flag, or else of the top-level key of the file; None where neither is set.

    Raises Unreadable where the kubelet reads files that are not among the readings.
    """
    return option(readings, flag) or setting(readings, key)


def setting(readings: HostView, name: str) -> tuple[str, ConfigLine] | None:
    """A top-level key of the file and its line; the last one counts. None where it is not set.

    Raises Unreadable where the command line names another file or folder.
    """
    found: tuple[str, ConfigLine] | None = None
    for file in files(readings):
        for number, line in enumerate(file.lines, 1):
            key, colon, value = line.partition(":")
            if colon and key.strip("\"'") == name:
                text = value.partition(" #")[0].strip(BLANKS).strip("\"'")
                source = ConfigLine(file.path, number, line.strip(BLANKS), True, file.changed)
                found = text, source
    return found


def files(readings: HostView) -> list[File]:
    """The kubelet's files in the order in which later ones win. Raises Unreadable."""
    named, folder = option(readings, "config"), option(readings, "config-dir")
    if named and named[0] != PATH:
        raise Unreadable(f"{named[1]} has the kubelet read {named[0]} instead of {PATH}")
    if folder and folder[0].rstrip("/") != FOLDER:
        raise Unreadable(f"{folder[1]} has the kubelet read {folder[0]}, too")
    main = readings.file(PATH)
    more = readings.files(f"{FOLDER}/*.conf") if folder else ()
    return [f for f in (main, *more) if f is not None and f.kind == "f"]


def options(readings: HostView) -> dict[str, str]:
    """Every flag of the command line without its dashes, and its value. Raises Unreadable."""
    names = (
        word.lstrip("-").partition("=")[0] for _, word in _command_line(readings) if word[:1] == "-"
    )
    every = {name: option(readings, name) for name in names if name}
    return {name: found[0] for name, found in every.items() if found}


def option(readings: HostView, name: str) -> tuple[str, ConfigLine] | None:
    """The value of `--NAME` on the command line and its line; the last one counts.

    A flag without a value is `true`. Raises Unreadable where the command line is not known, or
    takes the value from a variable whose line is not read (unit_settings.LINES).
    """
    words = _command_line(readings)
    found: tuple[str, ConfigLine] | None = None
    for at, (source, word) in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag not in (f"--{name}", f"-{name}"):
            continue
        if not equals:
            following = words[at + 1][1] if at + 1 < len(words) else "-"
            value = "true" if following.startswith("-") else following
        if unknown := _VARIABLE.search(value):
            raise Unreadable(
                f"{source}: --{name} is {unknown[0]} there, a variable that Hale does not read "
                f"(`systemctl show {UNIT} --property=Environment` has it)"
            )
        found = value, source
    return found


def _command_line(readings: HostView) -> Sequence[Word]:
    """The words after the program, with the line that each stands in. Raises Unreadable."""
    read = unit_settings.files(readings, UNIT)
    commands = unit_settings.commands(read)
    if not commands:
        present = [file for file in map(readings.file, OPTION_FILES) if file and file.kind == "f"]
        return [
            (source, word)
            for file in present
            for source, _, value in unit_settings.variables_of(file)
            for word in unit_settings.command_words(value)
        ]
    variables = {}
    for source, name, value in unit_settings.environment(readings, read):
        variables[name] = source, value
    words = commands[-1].words
    if not words or words[0].rpartition("/")[2] != PROGRAM:
        raise Unreadable(
            f"{commands[-1].source} has {UNIT} start another command than {PROGRAM}: its flags are "
            f"not known (`systemctl cat {UNIT}`)"
        )
    allowed = Allowance(budgets.COMMAND_CHARACTERS, "characters of a unit's variables")
    return [
        w for word in words[1:] for w in _expanded(commands[-1].source, word, variables, allowed)
    ]


def _expanded(
    source: ConfigLine, word: str, variables: dict[str, Word], allowed: Allowance
) -> Iterator[Word]:
    """`$NAME` as a word of its own becomes words, `${NAME}` text. Others stay as they are.

    Raises Unreadable.
    """
    alone = _ALONE.fullmatch(word)
    if alone and alone[1] in variables:
        where, value = variables[alone[1]]
        allowed.spend(len(value), where)
        for part in unit_settings.command_words(value):
            yield where, part
        return
    where = source
    for name in _PART.findall(word):
        where, value = variables.get(name, (source, ""))
        allowed.spend(len(value), where)
    yield where, _PART.sub(lambda found: variables.get(found[1], (source, found[0]))[1], word)
