"""Chapter 6: every host is named as the plan names it."""

from facts.hostname import HostnamePersisted, HostnameRuntime


def test_runtime(hostname: HostnameRuntime) -> None:
    assert hostname.name == hostname.planned


def test_persisted(hostname: HostnamePersisted) -> None:
    assert hostname.name == hostname.planned
