"""Chapter 3: CPUs and memory of a host."""

from facts.resources import Parameters, Runtime


def test_runtime(resources: Runtime, parameters: Parameters) -> None:
    assert resources.cpus >= parameters.cpus
    assert resources.memory_mib >= parameters.usable_mib
