"""Chapter 2: dashboard, ingress, a second cluster, where the site asks for them."""

from facts.addons import Runtime


def test_runtime(addons: Runtime) -> None:
    assert addons.proven
