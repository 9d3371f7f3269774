"""Masks what looks like a secret, before it is judged, saved or shown."""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache

_STARS = "********"
# A name of something secret: `password`, `DB_PASSWORD`, `dbPassword`, but not `bypass`.
_NAME = (
    r"(?:(?<![A-Za-z])(?i:pass(?:word|wd|phrase)?|secret(?:[_-]?access)?(?:[_-]?key)?|psk|token"
    r"|(?:identity|access|refresh)token|api[_-]?key|certificate-?key|client-key-data|preshared-?key"
    r"|private[_-]?key)|(?<=[A-Z])(?:PASSWORD|SECRET|TOKEN)|(?<=_)PWD|(?<=[a-z])(?:Pass(?:word|wd|phrase)?|Secret|Token|ApiKey|CertificateKey))"
)
_NAMES = (
    "pass",
    "secret",
    "token",
    "psk",
    "api",
    "certificate",
    "key-data",
    "shared",
    "private",
    "_pwd",
)
_NOT = r"(?!(?:files|compat|sss|systemd|ldap|nis|winbind|db|cache|altfiles)\b|[|>][-+]?$|/)"
_QUOTED = r"\"(?:[^\"\\\n]|\\.)+\"|'[^'\n]+'"
# Compiling all of these takes as long as a dozen tests, and hardly any run needs them all.
_compiled = cache(re.compile)


def _end_of_line(value: str) -> int:
    """The length of a value that reaches to the end of its line."""
    value = value.rstrip()
    return max(1, len(value) - value.endswith((",", ";")))


def _end_of_word(value: str) -> int:
    """The length of a value that may be the last one of a flow in YAML or JSON."""
    return max(1, len(value.rstrip(",;}]")))


class _Rule:
    """Words of which one must be in the line (in small letters), and the pattern.

    What follows the pattern's first group is the secret; length: how much of it.
    """

    def __init__(
        self, words: Sequence[str], pattern: str, length: Callable[[str], int] = len
    ) -> None:
        self.words = words
        self._pattern = pattern
        self._length = length

    def mask(self, line: str) -> str:
        return _compiled(self._pattern).sub(self._starred, line)

    def _starred(self, found: re.Match[str]) -> str:
        secret = found[0][len(found[1]) :]
        if secret[0] in "\"'":
            return f"{found[1]}{secret[0]}{_STARS}{secret[0]}"
        return f"{found[1]}{_STARS}{secret[self._length(secret) :]}"


class _Curl(_Rule):
    """The user and password of curl: in what follows its name."""

    def __init__(self) -> None:
        super().__init__(["curl"], r"([ \t](?:-[uU]|--user|--proxy-user)[ =]?[^\s:]+:)\S+")

    def mask(self, line: str) -> str:
        name = _compiled(r"\bcurl\b").search(line)
        return line[: name.end()] + super().mask(line[name.end() :]) if name else line


class _WebToken(_Rule):
    """A JSON web token: three words with dots between them, of which two begin with `eyJ`."""

    def __init__(self) -> None:
        super().__init__(["eyj"], r"()[\w.-]{30,}")

    def _starred(self, found: re.Match[str]) -> str:
        words = found[0].split(".")
        masked: list[str] = []
        at = 0
        while at < len(words):
            token = len(words) - at > 2 and words[at + 2] and self._first(words[at])
            if token and _compiled(r"eyJ[\w-]{10,}").match(words[at + 1]):
                masked.append(words[at][: token.start()] + _STARS)
                at += 3
            else:
                masked.append(words[at])
                at += 1
        return ".".join(masked)

    def _first(self, word: str) -> re.Match[str] | None:
        return _compiled(r"\beyJ[\w-]{10,}").search(word)


# Never over the end of a line: what is on the next one is judged, and must stay.
#
# A host chooses the lines, and nothing else runs while a pattern is searched for, so each pattern
# must take time in proportion to the line: no repeat before something that may be missing, where a
# search can begin anywhere in the repeat. tests/hostile/test_redact_time.py measures it.
_SECRETS = (
    # Alone on its line, in a comment too: all that follows. Not nsswitch's `passwd: files`,
    # not the head of a block, not the place where a key lies.
    _Rule(
        _NAMES,
        rf"(^[ \t#;]*(?:-[ \t]+)?(?:export[ \t]+)?[\"']?[\w.-]*?{_NAME}[\"']?[ \t]*[=:][ \t]*)"
        rf"{_NOT}(?:{_QUOTED}|[^\s\"'].*)",
        _end_of_line,
    ),
    # Behind a colon: the whole value, commas too.
    _Rule(
        _NAMES,
        rf"({_NAME}[\"']?[ \t]*:[ \t]*){_NOT}(?:{_QUOTED}|[^\s\"']+)",
        _end_of_word,
    ),
    # An option among others, in fstab or behind a program.
    _Rule(_NAMES, rf"({_NAME}[ \t]*=[ \t]*)(?!/)(?:{_QUOTED}|[^\s,;&\"']+)"),
    _Rule(
        ("--",),
        r"((?<!\S)--(?:[\w-]+-)?(?:pass(?:word|wd|phrase)|token|secret|(?:api|certificate)-key)"
        rf"[ \t]+)(?:{_QUOTED}|[^\s-]\S*)",
    ),
    # keepalived, HAProxy
    _Rule(("auth_pass",), r"(?i)(\bauth_pass[ \t]+)\S+"),
    _Rule(("stats",), r"(\bstats[ \t]+auth[ \t]+[^\s:]+:)\S+"),
    _Rule(("user", "-password"), r"(\b(?:insecure-|user[ \t]+\S+[ \t]+)password[ \t]+)\S+"),
    # a registry's login in base64
    _Rule(("auth",), r"(\bauth\"?[ \t]*[=:][ \t]*)\"[A-Za-z0-9+/]{8,}={0,2}\""),
    # user:password in a URL; the last @ before the path ends the password
    _Rule(("@",), r"(//[^\s/:@]*:)[^\s/]+(?=@)"),
    # HTTP's headers, hashes of passwords
    _Rule(
        ("authorization",),
        r"(?i)(\bauthorization[\"']?[ \t]*:[ \t]*[\"']?(?:basic|bearer)[ \t]+)[^\s\"']+",
    ),
    _Rule(("bearer",), r"(?i)(\bbearer[ \t]+)(?=\S*\d)[\w.~+/=-]{8,}"),
    _Rule(("$",), r"()\$(?:[1-7]|2[abxy]|g?y)\$[./A-Za-z0-9$=,-]{12,}"),
    _Curl(),
    _WebToken(),
)
# Over several lines: PEM keys, YAML's block scalars, cloud-init's names and passwords.
_PEM = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_BLOCK = (
    rf"(?m)(^([ \t]*)(?:-[ \t]+)?[\"']?[\w.-]*?{_NAME}[\"']?:[ \t]*[|>][-+]?\n)"
    r"((?:\2[ \t]+\S.*(?:\n|\Z))+)"
)
_CHPASSWD = r"(?m)^(chpasswd:[ \t]*\n)((?:[ \t]+.*(?:\n|\Z))+)"


@lru_cache(maxsize=1024)  # hosts of one kind have the same files
def redact(text: str) -> str:
    """The text without what looks like a secret; every line stays where it is."""
    if "PRIVATE KEY" in text:
        text = _compiled(_PEM).sub(
            lambda m: f"(a private key) {_STARS}" + "\n" * m[0].count("\n"), text
        )
    if ": |" in text or ": >" in text:
        text = _compiled(_BLOCK).sub(lambda m: m[1] + re.sub(r"\S.*", _STARS, m[3]), text)
    if "chpasswd:" in text:
        text = _compiled(_CHPASSWD).sub(
            lambda m: (
                m[1] + re.sub(r"(?m)^([ \t]*(?:-[ \t]*)?[\w.-]+:)\S.*$", rf"\1{_STARS}", m[2])
            ),
            text,
        )
    # Most texts hold none of the words: looking for those first makes this ten times faster.
    small = text.lower()
    rules = [rule for rule in _SECRETS if any(word in small for word in rule.words)]
    if not rules:
        return text
    return "\n".join(_masked(line, rules) for line in text.split("\n"))


def _masked(line: str, rules: Sequence[_Rule]) -> str:
    small = line.lower()
    for rule in rules:
        for word in rule.words:
            if word in small:
                line = rule.mask(line)
                break
    return line
