"""Chapter 9 (4): what a login may use, soft and hard. More than asked for is compliant."""

from facts.limits import LimitsParameters, LimitsPersisted, LimitsRuntime


def test_runtime(limits: LimitsRuntime, parameters: LimitsParameters) -> None:
    assert limits.soft >= parameters.wanted
    assert limits.hard >= parameters.wanted


def test_persisted(limits: LimitsPersisted, parameters: LimitsParameters) -> None:
    assert not limits.lost
    assert limits.soft is not None
    assert limits.hard is not None
    assert limits.soft >= parameters.wanted
    assert limits.hard >= parameters.wanted
