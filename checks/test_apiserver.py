"""Chapter 1: each master's own apiserver is ready, whatever the others are."""

from facts.apiserver import ApiserverRuntime


def test_runtime(apiserver: ApiserverRuntime) -> None:
    assert apiserver.ready
