"""Chapter 2, beyond the baseline: versions that the next versions of Kubernetes need."""

from facts.node_versions import NodeVersionsParameters, NodeVersionsRuntime


def test_runtime(node_versions: NodeVersionsRuntime, parameters: NodeVersionsParameters) -> None:
    assert node_versions.major >= parameters.least
