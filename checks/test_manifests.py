"""Beyond the document: the masters' static manifests are the same."""

from facts.manifests import Runtime


def test_runtime(manifests: Runtime) -> None:
    assert not manifests.drift
