"""The five verdicts. UNKNOWN is never PASS."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a requirement's aspect comes to on one host, with pytest's word for it."""

    PASS = "PASS"  # passed: the fact was read and meets the requirement
    FAIL = "FAIL"  # failed: the fact was read and does not
    WAIVED = "WAIVED"  # xfailed: it does not, and a waiver that has not expired accepts that
    NOT_APPLICABLE = "N-A"  # skipped: role or condition exclude this host
    UNKNOWN = "UNKNOWN"  # error: the fact could not be read

    @property
    def failed(self) -> bool:
        """Whether a run with this verdict has not succeeded."""
        return self in (Verdict.FAIL, Verdict.UNKNOWN)
