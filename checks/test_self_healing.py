"""Chapter 1: a Deployment keeps its replicas when a node dies. Measured by drills only."""

from facts.self_healing import SelfHealingDrill, SelfHealingParameters


def test_drill(self_healing: SelfHealingDrill, parameters: SelfHealingParameters) -> None:
    """An audit never gets here: the fixture says that a drill measures it, and skips."""
    for healed in self_healing.healed:
        assert healed.seconds is not None
        assert healed.seconds <= parameters.heal_seconds
