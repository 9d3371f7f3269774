"""What leaves a host: the sed(1) program through which its answer goes, before it is compressed.

Of files with a selection (hale.model.evidence.select), the lines that no fact needs are blanked
before they leave the host, so that each line keeps its number. In all other lines, and in the
output of commands, the most frequent forms of secrets are masked. Each command that masks is the
twin of a rule of hale/redact.py, with the same result but for blanks at the end of a line; that
masks the rarer forms once the answer has arrived.

This is GNU sed in the C locale; another one ends the answer early, which is UNKNOWN. grep prints
lines of files as `path NUL number : line`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from hale.model.evidence import EXISTENCE, Selection

#: A wildcard of a shell pattern. All other characters of a pattern are quoted.
WILD = re.compile(r"[*?]|\[!?[A-Za-z0-9._-]+\]")
_LINE = r"\/[^\x00]*\x00[0-9]+:"
# A line that goes on in the next one: an odd number of backslashes, as systemd and shells count
# them; systemd takes a carriage return for the end of a line too.
_GOES_ON = r"(\x00[0-9]+:|[^\\])(\\\\)*\\\r?$"
_STARS = "********"
_BLANKS = r"[ \t]*"
# Names of something secret, with what may be before them, and sed's flag for the case of letters.
_NAMES = (
    (
        "[^A-Za-z]",
        r"(pass(word|wd|phrase)?|secret([_-]?access)?([_-]?key)?|psk|token|identitytoken"
        r"|accesstoken|refreshtoken|api[_-]?key|certificate-?key|client-key-data|preshared-?key"
        r"|private[_-]?key|account[_-]?key|encryption[_-]?key|access[_-]?key|signature"
        r"|credentials?|dockerconfigjson|dockercfg)",
        "I",
    ),
    ("[A-Z]", "(PASSWORD|SECRET|TOKEN)", ""),
    ("_", "PWD", ""),
    ("[a-z]", "(Pass(word|wd|phrase)?|Secret|Token|ApiKey|CertificateKey)", ""),
)
# Values that are no secrets, so that the line is masked by redact.py alone.
_ORDINARY = (
    r"(\/|[|>][-+]?$|(true|false|files|compat|sss|systemd|ldap|nis|winbind|db|cache|altfiles)\b)"
)
# Of HTTP, without secrets.
_HEADERS = "Host|host|User-Agent|Accept|Connection|Content-Type"
_ANY = r"pass|secret|token|psk|_pwd|key|auth|cred|signature|dockerc|\$[1-7gy]|http-?ch"
# What every line has that the commands for names and values may change: most lines with such a word
# are no assignment, and some fifty searches are spared.
_ASSIGNED = r"(pass|secret|token|psk|pwd|key|cred|signature|dockerc)[a-z_-]*[\"']?[ \t]*[=:]"
_OPTION = r"--([A-Za-z0-9_-]+-)?(pass(word|wd|phrase)|token|secret|(api|certificate)-key)"
_AUTHORIZATION = (
    r"(\b|\\n)authorization[\"']?([ \t]*:\\?[ \t]*|[ \t]+)[\"']?(basic|bearer)\\?[ \t]+"
)


def filter_program(selections: Mapping[str, Sequence[Selection]], complete: Sequence[str]) -> str:
    """The program. selections: by shell pattern, the lines of which one must be; complete: patterns
    of files that are read in full, whatever others select of them."""
    # Lists of files and the like have no line number, and are not to be changed.
    lines = [rf"/\x00/{{/^{_LINE}/!b", "}"]
    if selections:
        lines += _selecting(selections, complete)
    return "\n".join([*lines, ":mask", *_masking()])


def _selecting(selections: Mapping[str, Sequence[Selection]], complete: Sequence[str]) -> list[str]:
    full = _overlapping(complete, selections)
    by_lines: dict[Selection, list[str]] = {}
    for pattern, wanted in selections.items():
        for selection in wanted:
            by_lines.setdefault(selection, []).append(pattern)
    follow = list(dict.fromkeys(s.follow for s in by_lines if s.follow))
    kept: list[str] = []
    for number in range(len(follow)):
        kept += [rf":kept{number}", "x", f"s/.*/{number}/", "x", "b mask"]
    return [
        *([rf"/{_paths(full)}/b mask"] if full else []),
        rf"/{_paths([*selections])}/!b mask",
        # The hold space has what a line that was kept lets the next one be: k, if it goes on in it.
        "G",
        r"/^[^\x00]*\x001:/s/\n.*//",
        r"s/\n$//",
        r"/\nk$/{s///",
        "b kept",
        "}",
        *(
            line
            for number, text in enumerate(follow)
            for line in (
                rf"/\n{number}$/{{s///",
                rf"/^[^\x00]*\x00[0-9]+:({_slashed(text)})/b mask",
                "}",
            )
        ),
        *(
            rf"/{_paths(patterns)}[0-9]+:({_slashed(s.only)})/b kept"
            + (str(follow.index(s.follow)) if s.follow else "")
            for s, patterns in by_lines.items()
            if s != EXISTENCE
        ),
        r"/\x00[0-9]+:[ \t]*[#;]/{s/(\x00[0-9]+:[ \t]*.).*/\1/",
        "b dropped",
        "}",
        # What goes on in the next line still does, so that the next one does not count for itself.
        rf"/{_GOES_ON}/{{s/(\x00[0-9]+:).*/\1_\\/",
        "b dropped",
        "}",
        r"s/(\x00[0-9]+:).*/\1/",
        ":dropped",
        "x",
        "s/.*//",
        "x",
        "b",
        *kept,
        ":kept",
        # A comment may stand between lines of which one goes on in the other.
        r"/\x00[0-9]+:[ \t]*[#;]/b mask",
        "x",
        "s/.*//",
        "x",
        rf"/{_GOES_ON}/{{x",
        "s/.*/k/",
        "x",
        "}",
    ]


def _slashed(expression: str) -> str:
    return expression.replace("/", r"\/")


def _paths(patterns: Sequence[str]) -> str:
    """Matches the beginning of a line of a file that one of these shell patterns names."""
    names: dict[str, dict[str, None]] = {}
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        names.setdefault(_path(folder), {})[_path(name)] = None
    # Hundreds of files of units are in a few folders, which have the same names.
    folders: dict[tuple[str, ...], list[str]] = {}
    for folder, found in names.items():
        folders.setdefault(tuple(found), []).append(folder)
    parts = (rf"({'|'.join(f)})\/({'|'.join(n)})" for n, f in folders.items())
    return rf"^({'|'.join(parts)})\x00"


@lru_cache(maxsize=1 << 12)
def _path(pattern: str) -> str:
    parts = re.split(f"({WILD.pattern})", pattern)
    wild = {"*": r"[^\/\x00]*", "?": r"[^\/\x00]"}
    return "".join(
        wild.get(part, part) if n % 2 else re.sub(r"[][(){}.*+?^$|\\/]", r"\\\g<0>", part)
        for n, part in enumerate(parts)
    )


def _overlapping(complete: Sequence[str], selections: Iterable[str]) -> list[str]:
    """Those of the first patterns that may name a file which one of the second names, too."""
    literal = frozenset(selections)
    wild: dict[int, list[list[str]]] = {}  # by the number of parts
    exact: dict[int, list[list[str]]] = {}
    for pattern in literal:
        parts = pattern.split("/")
        (wild if WILD.search(pattern) else exact).setdefault(len(parts), []).append(parts)
    found = []
    for pattern in complete:
        parts = pattern.split("/")
        others = wild.get(len(parts), [])
        if WILD.search(pattern):
            others = [*others, *exact.get(len(parts), [])]
        if pattern in literal or any(_may_be_one(parts, other) for other in others):
            found.append(pattern)
    return found


def _may_be_one(parts: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two patterns of the same depth may name one file. Most differ in the last part."""
    return all(
        a == b or fnmatchcase(a, b) or fnmatchcase(b, a) or bool(WILD.search(a) and WILD.search(b))
        for a, b in zip(reversed(parts), reversed(others), strict=True)
    )


def _masking() -> list[str]:
    found = [
        # A private key: all lines but the first and the last, and none of the next file.
        r"/-----BEGIN [A-Z ]*PRIVATE KEY/,/-----END [A-Z ]*PRIVATE KEY|^[^\x00]*\x001:/{",
        r"/^[^\x00]*\x001:|-----(BEGIN|END)/!s/(\x00[0-9]+:).*/\1/",
        "}",
        rf"s#(//[^[:space:]/:@\x00]*:)[^[:space:]/\x00]+@#\1{_STARS}@#g",
        rf"/{_ANY}/I!b",
        *_masked(r"\bauth_pass[ \t]+", r"[^[:space:]\"']+", "Ig"),
        # What haproxy's checks send.
        r"/\b(httpchk|http-check)[ \t]/{",
        rf"s/(\bhttpchk([ \t]+[^[:space:]\\]+){{2}}[ \t]+[\"']?HTTP\/[0-9.]+\\r\\n)[^[:space:]].*"
        rf"/\1{_STARS}/",
        rf"s/\bhdr([ \t]+({_HEADERS})[ \t])/\x01\1/g",
        *_masked(
            r"\b(hdr[ \t]+[^[:space:]\"']+|body(-lf)?)[ \t]+",
            r"([^[:space:]\"'\\]|\\.)([^[:space:]\\]|\\.)*",
            "g",
        ),
        r"s/\x01/hdr/g",
        "}",
        *_masked(rf"{_OPTION}([ \t]+|[\"']?,{_BLANKS})", r"[^[:space:]\"'-][^[:space:]]*", "g"),
        rf"s/({_AUTHORIZATION})[^[:space:]\"']+/\1{_STARS}/Ig",
        rf"s/\$([1-7]|2[abxy]|g?y)\$[.\/A-Za-z0-9$=,-]{{12,}}/{_STARS}/g",
    ]
    found.append(rf"/{_ASSIGNED}/I!b")
    begin = rf"^({_LINE})?[ \t#;]*(-[ \t]+)?(export[ \t]+)?[\"']?"
    for label, (before, name, case) in enumerate(_NAMES):
        own = rf"{begin}([A-Za-z0-9_.-]*{before})?{name}[\"']?{_BLANKS}[=:]{_BLANKS}"
        inside = rf"(^|{before}){name}" if case else rf"{before}{name}"
        colon, equals = rf"{inside}[\"']?{_BLANKS}:{_BLANKS}", rf"{inside}{_BLANKS}={_BLANKS}"
        found += [
            rf"/{own}{_ORDINARY}/{case}b",
            f"t own{label}",  # forgets what was replaced before
            f":own{label}",
            rf"s/({own})\"([^\"\\]|\\.)+\"/\1\"{_STARS}\"/{case}",
            "t",
            rf"s/({own})'[^']+'/\1'{_STARS}'/{case}",
            "t",
            *(
                command
                for end in (",", ";")
                for command in (
                    rf"s/({own})[^[:space:]\"'].*{end}[ \t]*$/\1{_STARS}{end}/{case}",
                    "t",
                )
            ),
            rf"s/({own})[^[:space:]\"'].*/\1{_STARS}/{case}",
            "t",
            rf"/({colon}|{equals}){_ORDINARY}/{case}b",
            *_masked(colon, r"[^][:space:],;{}\"'\/][^],;}[:space:]\"']*", f"{case}g"),
            *_masked(equals, r"[^[:space:],;&\"'\/][^[:space:],;&\"']*", f"{case}g"),
        ]
    return found


def _masked(before: str, word: str, flags: str) -> list[str]:
    """Commands that mask a word, or what is between quotes, behind this."""
    return [
        rf"s/({before})\"([^\"\\]|\\.)+\"/\1\"{_STARS}\"/{flags}",
        rf"s/({before})'[^']+'/\1'{_STARS}'/{flags}",
        rf"s/({before}){word}/\1{_STARS}/{flags}",
    ]
