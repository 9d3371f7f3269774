"""Chapter 3: CPUs and memory of a host."""

from facts.resources import ResourcesParameters, ResourcesRuntime


def test_runtime(resources: ResourcesRuntime, parameters: ResourcesParameters) -> None:
    assert resources.cpus >= parameters.cpus
    assert resources.memory_mib >= parameters.usable_mib
