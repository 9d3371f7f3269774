"""Beyond the baseline: what containerd and the kubelet may use. More is compliant."""

from facts.service_limits import (
    ServiceLimitsParameters,
    ServiceLimitsPersisted,
    ServiceLimitsRuntime,
)


def test_runtime(service_limits: ServiceLimitsRuntime, parameters: ServiceLimitsParameters) -> None:
    assert service_limits.soft >= parameters.wanted
    assert service_limits.hard >= parameters.wanted


def test_persisted(
    service_limits: ServiceLimitsPersisted, parameters: ServiceLimitsParameters
) -> None:
    assert service_limits.soft >= parameters.wanted
    assert service_limits.hard >= parameters.wanted
