"""The five verdicts. UNKNOWN is never PASS."""

from enum import StrEnum


class Verdict(StrEnum):
    """The result of judging one aspect of a requirement on one host."""

    PASS = "PASS"  # the fact was read and meets the requirement
    FAIL = "FAIL"  # the fact was read and does not
    WAIVED = "WAIVED"  # failed, and accepted until a day: waivers.toml
    NOT_APPLICABLE = "N-A"  # role or condition exclude this host
    UNKNOWN = "UNKNOWN"  # the fact could not be read

    @property
    def failed(self) -> bool:
        """Whether a run with this verdict has not succeeded."""
        return self in (Verdict.FAIL, Verdict.UNKNOWN)
