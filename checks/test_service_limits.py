"""Beyond the document: what containerd and the kubelet may use. More is compliant."""

from facts.service_limits import Parameters, Persisted, Runtime


def test_runtime(service_limits: Runtime, parameters: Parameters) -> None:
    assert service_limits.soft >= parameters.wanted
    assert service_limits.hard >= parameters.wanted


def test_persisted(service_limits: Persisted, parameters: Parameters) -> None:
    assert service_limits.soft >= parameters.wanted
    assert service_limits.hard >= parameters.wanted
