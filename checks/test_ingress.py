"""Chapter 2: the ingress, by its controller, classes, routes, and what they answer."""

from facts.ingress import IngressRuntime


def test_runtime(ingress: IngressRuntime) -> None:
    assert ingress.routes
    assert not ingress.faults
