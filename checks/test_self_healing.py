"""Chapter 1: a Deployment keeps its replicas when a node dies. Told by a drill alone."""


def test_drill(self_healing: object) -> None:
    """An audit never gets here: the fixture says that a drill measures it, and skips."""
    raise NotImplementedError(f"an audit has no word on this: {self_healing}")
