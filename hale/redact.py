"""Masks what looks like a secret, before it is judged, saved or shown."""

import re
from collections.abc import Sequence
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
# Never over the end of a line: what is on the next one is judged, and must stay. Each: words of
# which one must be in the line (in small letters), and the pattern; what follows its first
# group is the secret.
_SECRETS = (
    # Alone on its line, in a comment too: all that follows. Not nsswitch's `passwd: files`,
    # not the head of a block, not the place where a key lies.
    (
        _NAMES,
        rf"(^[ \t#;]*(?:-[ \t]+)?(?:export[ \t]+)?[\"']?[\w.-]*?{_NAME}[\"']?[ \t]*[=:][ \t]*)"
        rf"{_NOT}(?:{_QUOTED}|[^\s\"'].*?(?=[,;]?\s*$))",
    ),
    # Behind a colon: the whole value, commas too.
    (
        _NAMES,
        rf"({_NAME}[\"']?[ \t]*:[ \t]*){_NOT}(?:{_QUOTED}|[^\s\"']+?(?=[,;}}\]]*(?:\s|$)))",
    ),
    # An option among others, in fstab or behind a program.
    (_NAMES, rf"({_NAME}[ \t]*=[ \t]*)(?!/)(?:{_QUOTED}|[^\s,;&\"']+)"),
    (
        ("--",),
        r"((?<!\S)--(?:[\w-]+-)?(?:pass(?:word|wd|phrase)|token|secret|(?:api|certificate)-key)"
        rf"[ \t]+)(?:{_QUOTED}|[^\s-]\S*)",
    ),
    (("curl",), r"(\bcurl\b.*?[ \t](?:-[uU]|--user|--proxy-user)[ =]?[^\s:]+:)\S+"),
    # keepalived, HAProxy
    (("auth_pass",), r"(?i)(\bauth_pass[ \t]+)\S+"),
    (("stats",), r"(\bstats[ \t]+auth[ \t]+[^\s:]+:)\S+"),
    (("user", "-password"), r"(\b(?:insecure-|user[ \t]+\S+[ \t]+)password[ \t]+)\S+"),
    # a registry's login in base64
    (("auth",), r"(\bauth\"?[ \t]*[=:][ \t]*)\"[A-Za-z0-9+/]{8,}={0,2}\""),
    # user:password in a URL; the last @ before the path ends the password
    (("@",), r"(?i)((?:\b[a-z][a-z0-9+.-]*:)?//[^\s/:@]*:)[^\s/]+(?=@)"),
    # HTTP's headers, hashes of passwords, JSON web tokens
    (
        ("authorization",),
        r"(?i)(\bauthorization[\"']?[ \t]*:[ \t]*[\"']?(?:basic|bearer)[ \t]+)[^\s\"']+",
    ),
    (("bearer",), r"(?i)(\bbearer[ \t]+)(?=\S*\d)[\w.~+/=-]{8,}"),
    (("$",), r"()\$(?:[1-7]|2[abxy]|g?y)\$[./A-Za-z0-9$=,-]{12,}"),
    (("eyj",), r"()\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]+"),
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
# Compiling all of these takes as long as a dozen tests, and hardly any run needs them all.
_compiled = cache(re.compile)


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
    rules = [(w, _compiled(p)) for w, p in _SECRETS if any(word in small for word in w)]
    if not rules:
        return text
    return "\n".join(_masked(line, rules) for line in text.split("\n"))


def _masked(line: str, rules: Sequence[tuple[tuple[str, ...], re.Pattern[str]]]) -> str:
    small = line.lower()
    for words, pattern in rules:
        for word in words:
            if word in small:
                line = pattern.sub(_starred, line)
                break
    return line


def _starred(found: re.Match[str]) -> str:
    quote = found[0][-1] if found[0][len(found[1])] in "\"'" else ""
    return f"{found[1]}{quote}{_STARS}{quote}"
