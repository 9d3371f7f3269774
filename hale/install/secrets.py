"""The secrets of an install, kept in memory only: a bootstrap token and a certificate key."""

import secrets
from dataclasses import dataclass, field

# What joins use: the run's bootstrap token, and the control plane's certificates, encrypted.
TOKEN, CERTIFICATES = "token", "certificates"


class Secret:
    """A text that must not appear in a repr, log, plan, journal, argv or file."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that passes it to a host."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass
class Secrets:
    """A bootstrap token and a certificate key, generated for one run.

    uploaded: which of TOKEN and CERTIFICATES (the control plane's, encrypted with this key) are in
    the cluster already. attempted: which of them may be there, also where their step has failed.
    """

    token: Secret = field(default_factory=lambda: Secret(new_token()))
    certificate_key: Secret = field(default_factory=lambda: Secret(new_key()))
    uploaded: set[str] = field(default_factory=set)
    attempted: set[str] = field(default_factory=set)

    def redact(self, text: str) -> str:
        """The text without the secrets."""
        for secret in (self.token, self.certificate_key):
            for shown in (secret.reveal(), secret.reveal().partition(".")[2]):
                if shown:
                    text = text.replace(shown, "********")
        return text


def new_token() -> str:
    """A bootstrap token: kubernetes.io, "Authenticating with Bootstrap Tokens", its format."""
    return f"{secrets.token_hex(3)}.{secrets.token_hex(8)}"


def new_key() -> str:
    """A certificate key: AES-256, in hexadecimal digits (kubeadm certs certificate-key)."""
    return secrets.token_hex(32)
