"""Masks what looks like a secret, before it is judged, saved or shown."""

import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import pairwise

_STARS = "********"
# A name of something secret: `password`, `DB_PASSWORD`, `dbPassword`, but not `bypass`.
_NAME = (
    r"(?:(?<![A-Za-z])(?i:pass(?:word|wd|phrase)?|secret(?:[_-]?access)?(?:[_-]?key)?|psk|token"
    r"|(?:identity|access|refresh)token|api[_-]?key|certificate-?key|client-key-data|preshared-?key"
    r"|private[_-]?key|(?:account|encryption)[_-]?key|access[_-]?key(?![_-]?id)|signature|credentials?"
    r"|dockerconfigjson|dockercfg|tls\.key)|(?<=[A-Z])(?:PASSWORD|SECRET|TOKEN)|(?<=_)PWD|(?<=[a-z])(?:Pass(?:word|wd|phrase)?|Secret|Token|ApiKey|CertificateKey))"
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
    "account",
    "encryption",
    "access",
    "tls.key",
    "signature",
    "credential",
    "dockerc",
)
_NOT = (
    r"(?!(?:true|false|files|compat|sss|systemd|ldap|nis|winbind|db|cache|altfiles)\b|[|>][-+]?$|/)"
)
_QUOTED = r"\"(?:[^\"\\\n]|\\.)+\"|'[^'\n]+'"
_WORD = rf"(?:{_QUOTED}|\S+)"
_OPTION = r"--(?:[\w-]+-)?(?:pass(?:word|wd|phrase)|token|secret|(?:api|certificate)-key)(?![\w-])"
_USER = r"(?<![\w-])(?:-[uU]|--user|--proxy-user)[\"']?(?:[ \t,]+|=)?"
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

    def concerns(self, text: str, small: str) -> bool:
        """Whether a line of the text may hold such a secret; small: it in small letters."""
        return any(word in small for word in self.words)

    def mask(self, line: str) -> str:
        return _compiled(self._pattern).sub(self._starred, line)

    def _starred(self, found: re.Match[str]) -> str:
        secret = found[0][len(found[1]) :]
        if secret[0] in "\"'":
            return f"{found[1]}{secret[0]}{_STARS}{secret[0]}"
        return f"{found[1]}{_STARS}{secret[self._length(secret) :]}"


class _Option(_Rule):
    """A secret in the command line of a program: in what follows the program's name."""

    def __init__(self, program: str, pattern: str) -> None:
        super().__init__([program], pattern)
        self._program = rf"\b{program}\b"

    def mask(self, line: str) -> str:
        name = _compiled(self._program).search(line)
        return line[: name.end()] + super().mask(line[name.end() :]) if name else line


class _Random(_Rule):
    """What only a generator makes: long, and small letters, capitals and digits by turns.

    Public are SSH's public keys and their fingerprints, certificates in base64, names with a UUID,
    and what stands alone on its line, as in PEM.
    """

    _PUBLIC = (
        r"AAAA|LS0tLS1CRUdJTiBDRVJU|[\w/-]{0,40}?[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}$"
    )

    def __init__(self) -> None:
        super().__init__([""], r"()(?<=[ \t\"'=:,])[\w+/-]{24,}={0,2}(?![\w+/=.-])")

    def concerns(self, text: str, small: str) -> bool:
        return any(map(self._is_secret, _compiled(self._pattern).finditer(text)))

    def mask(self, line: str) -> str:
        return line if " " not in line.strip() and ":" not in line else super().mask(line)

    def _starred(self, found: re.Match[str]) -> str:
        return _STARS if self._is_secret(found) else found[0]

    def _is_secret(self, found: re.Match[str]) -> bool:
        fingerprint = found.string.endswith("SHA256:", 0, found.start())
        if fingerprint or _compiled(self._PUBLIC).match(found[0]):
            return False
        kinds = [_kind(c) for c in found[0] if c.isalnum()]
        turns = sum(a != b for a, b in pairwise(kinds))
        return len(set(kinds)) == 3 and turns >= len(found[0]) * 0.35


def _kind(letter: str) -> str:
    return "digit" if letter.isdigit() else "small" if letter.islower() else "capital"


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
    # Behind a colon: the entire value, commas too.
    _Rule(
        _NAMES,
        rf"({_NAME}[\"']?[ \t]*:[ \t]*){_NOT}(?:{_QUOTED}|[^\s\"']+)",
        _end_of_word,
    ),
    # An option among others, in fstab or behind a program.
    _Rule(_NAMES, rf"({_NAME}[ \t]*=[ \t]*)(?!/|(?:true|false)\b)(?:{_QUOTED}|[^\s,;&\"']+)"),
    _Rule(
        ("--",),
        rf"((?<![\w-]){_OPTION}(?:[ \t]+|[\"']?,[ \t]*))(?:{_QUOTED}|[^\s\"'-]\S*)",
    ),
    # Words after a keyword, with no sign between: keepalived, HAProxy, interfaces, GRUB, LDAP, SNMP
    _Rule(("auth_pass",), rf"(?i)(\bauth_pass[ \t]+){_WORD}"),
    _Rule(("stats",), r"(\bstats[ \t]+auth[ \t]+[^\s:]+:)\S+"),
    _Rule(
        ("user", "login", "-password"),
        r"(\b(?:insecure-|(?:user|login)[ \t]+\S+[ \t]+)password[ \t]+)\S+",
    ),
    _Rule(
        (
            "wpa-",
            "wep-",
            "wireless-key",
            "requirepass",
            "masterauth",
            "bindpw",
            "rootpw",
            "community",
        ),
        r"(^[ \t]*(?:wpa-(?:psk|password)|wep-key\d|wireless-key\d?|requirepass|masterauth|bindpw"
        rf"|rootpw|r[ow]community6?)[ \t]+){_WORD}",
    ),
    _Rule(
        ("password",),
        r"(^[ \t]*password(?:_pbkdf2)?[ \t]+"
        r"(?!(?:required|requisite|sufficient|optional|include|substack)\b)[^\s:=\[]+[ \t]+)\S+",
    ),
    _Rule(("createuser",), r"(^[ \t]*createUser[ \t]+\S+[ \t]+)\S.*"),
    # Options of programs.
    _Option("curl", rf"({_USER}[\"'][^\s:\"']+:)[^\"']+"),
    _Option("curl", rf"({_USER}[^\s:\"',]+:)[^\s\"']+"),
    _Option("usermod", rf"([ \t]-p[ \t]*){_WORD}"),
    _Option("useradd", rf"([ \t]-p[ \t]*){_WORD}"),
    _Option("sshpass", rf"([ \t]-p[ \t]*){_WORD}"),
    _Option("htpasswd", r"(^[ \t]+-\w+[ \t]+\S+[ \t]+)\S.*"),
    _Option("mysql", r"([ \t]-p)[^\s\"'-]\S*"),
    _Option("redis-cli", rf"([ \t]-a[ \t]*){_WORD}"),
    _Option("ldapsearch", rf"([ \t]-w[ \t]*){_WORD}"),
    _Option("ipmitool", rf"([ \t]-P[ \t]*){_WORD}"),
    _Option("smbclient", r"([ \t]-U[ \t]*[^\s%]+%)\S+"),
    _Rule(("pass:",), r"(\bpass:)[^\s\"']+"),
    _Rule(("chpasswd",), r"((?<![\w/.-])[\w.-]+:)[^\s'\"|]+"),
    _Rule(("--stdin",), rf"(\becho[ \t]+){_WORD}"),
    # a registry's login in base64
    _Rule(("_auth",), r"(\b_auth[ \t]*=[ \t]*)\S+"),
    _Rule(("auth",), r"(\bauth\"?[ \t]*[=:][ \t]*)\"[A-Za-z0-9+/]{8,}={0,2}\""),
    # user:password in a URL; the last @ before the path ends the password
    _Rule(("@",), r"(//[^\s/:@]*:)[^\s/]+(?=@)"),
    # HTTP's headers, hashes of passwords
    _Rule(
        ("authorization",),
        r"(?i)((?:\b|\\n)authorization[\"']?(?:[ \t]*:\\?[ \t]*|[ \t]+)[\"']?(?:basic|bearer)"
        r"\\?[ \t]+)[^\s\"']+",
    ),
    _Rule(("bearer",), r"(?i)(\bbearer[ \t]+)(?=\S*\d)[\w.~+/=-]{8,}"),
    _Rule(("$",), r"()\$(?:[1-7]|2[abxy]|g?y)\$[./A-Za-z0-9$=,-]{12,}"),
    # What haproxy's checks send.
    _Rule(("httpchk",), r"(\bhttpchk(?:[ \t]+[^\s\\]+){2}[ \t]+[\"']?HTTP/[\d.]+\\r\\n)\S.*"),
    _Option(
        "http-check",
        r"(\b(?:hdr[ \t]+(?!(?:Host|host|User-Agent|Accept|Connection|Content-Type)[ \t])"
        r"[^\s\"']+|body(?:-lf)?)[ \t]+)"
        rf"(?:{_QUOTED}|(?:[^\s\"'\\]|\\.)(?:[^\s\\]|\\.)*)",
    ),
    _Rule(("cookie",), r"(?i)(\bcookie[ \t]*:[ \t]*)\S.*"),
    _WebToken(),
    # By their form: keys in base64, tokens with a known beginning.
    _Rule(("ls0tls1crudjti",), r"()\bLS0tLS1CRUdJTi(?!BDRVJU|BQVUJ)[\w+/=]+"),
    _Rule(
        ("gh", "glpat-", "xox", "hvs.", "npm_"),
        r"()\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{10,}|xox[abeoprs]-[\w-]{10,}"
        r"|hvs\.[\w-]{20,}|npm_\w{20,})",
    ),
    _Rule(("hooks.slack.com",), r"(hooks\.slack\.com/services/)[\w/]+"),
    _Rule(("pin=", "pin:", "pin "), r"((?<![A-Za-z-])pin[ \t]*[=:][ \t]*)[^\s\"']+"),
    _Rule(("sig=",), r"([?&]sig=)[^\s&\"']+"),
    _Random(),
)
# Over several lines: PEM keys, YAML's block scalars, cloud-init's names and passwords, options and
# their values in a list, names and values of variables.
_PEM = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?"
    r"(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
)
_BLOCK = (
    rf"(?m)(^([ \t]*)(?:-[ \t]+)?[\"']?[\w.-]*?{_NAME}[\"']?:[ \t]*[|>][-+]?\n)"
    r"((?:\2[ \t]+\S.*(?:\n|\Z))+)"
)
_LISTED = rf"(?m)(^[ \t]*-[ \t]+[\"']?{_OPTION}[\"']?[ \t]*\n[ \t]*-[ \t]+){_WORD}"
_VARIABLE = (
    r"(\bname[\"']?[ \t]*:[ \t]*[\"']?)([\w.-]+)([\"']?[ \t]*(?:,[ \t]*)?(?:\n[ \t]*)?"
    rf"[\"']?value[\"']?[ \t]*:[ \t]*)({_QUOTED}|[^\s\"',{{}}\[\]|>][^\n,}}]*)"
)
_SECRET_VARIABLE = r"(?i)pass|secret|token|psk|api_?key|private_?key|credential|pwd"
_OTHER_VARIABLE = r"(?i)(?:file|path|name|dir|host|url|uri|user|id|enabled?)$"
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
    if "--" in text:
        text = _compiled(_LISTED).sub(rf"\1{_STARS}", text)
    if "value" in text:
        text = _compiled(_VARIABLE).sub(_variable, text)
    # Most texts hold none of the words: looking for those first makes this ten times faster.
    small = text.lower()
    rules = [rule for rule in _SECRETS if rule.concerns(text, small)]
    if not rules:
        return text
    return "\n".join(_masked(line, rules) for line in text.split("\n"))


def _variable(found: re.Match[str]) -> str:
    name = found[2]
    if not _compiled(_SECRET_VARIABLE).search(name) or _compiled(_OTHER_VARIABLE).search(name):
        return found[0]
    quote = found[4][0] if found[4][0] in "\"'" else ""
    return f"{found[1]}{name}{found[3]}{quote}{_STARS}{quote}"


def _masked(line: str, rules: Sequence[_Rule]) -> str:
    small = line.lower()
    for rule in rules:
        for word in rule.words:
            if word in small:
                line = rule.mask(line)
                break
    return line
