"""Beyond the baseline: the masters' static manifests are the same."""

from facts.static_pods import StaticPodsRuntime


def test_runtime(static_pods: StaticPodsRuntime) -> None:
    assert not static_pods.drift
