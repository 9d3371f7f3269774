"""Chapter 6: every host is named as the plan names it."""

from facts.hostname import Persisted, Runtime


def test_runtime(hostname: Runtime) -> None:
    assert hostname.name == hostname.planned


def test_persisted(hostname: Persisted) -> None:
    assert hostname.name == hostname.planned
