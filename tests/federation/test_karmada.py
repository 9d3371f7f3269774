"""Karmada itself, broken in every way of states.py, and judged as it is.

Not part of CI: the build of Karmada takes five CPU minutes, and its Leases take minutes to become
stale. CI judges what was recorded of it (tests/facts/federation).
"""

from pathlib import Path

import pytest

from hale.audit.judge import judge_fact
from tests.facts import test_cases as cases
from tests.federation.record import CASES, make_states
from tests.federation.states import STATES, State


def judged(state: State, output: str) -> tuple[str, str]:
    """Verdict and reason, where each master's probe prints this."""
    given = cases.Given(requirement="CMP-FEDERATION", aspect="runtime", verdict=state.verdict)
    given.every.outputs["federation"] = cases.GivenOutput(output)
    requirement = cases.requirement_named(given.requirement)
    case = cases.case_of(given, requirement)
    result = judge_fact(case, lambda: cases.read(given, requirement)).result
    return result.verdict.value, result.actual


@pytest.mark.soak("ten minutes, and a build of Karmada")
def test_each_state_is_judged_as_recorded(tmp_path: Path) -> None:
    outputs = make_states(tmp_path)
    found = {state.name: judged(state, outputs[state.name]) for state in STATES}
    for state in STATES:
        verdict, actual = found[state.name]
        assert (state.name, verdict) == (state.name, state.verdict), actual
        assert state.actual in actual
        assert "PRIVATE KEY" not in outputs[state.name]


def test_every_state_is_recorded() -> None:
    """What CI judges is what was made."""
    for state in STATES:
        given = cases.loaded((CASES / f"{state.name}.toml").read_bytes())
        assert (given.verdict, given.actual) == (state.verdict, [state.actual])
        assert given.every.outputs["federation"].stdout.startswith("at ")
