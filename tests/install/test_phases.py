"""Phases, one small file a case: from what hosts answered to what is left, refused and done.

phases/<phase>/<what-it-shows>.toml has `[outputs.<host>]` with each command's output by
"subject.command" (`*` for every host of the site), `[files.<host>]`, and of the phase the exact
`left`, `refusals`, `gate` (its gate_problems), `kept` (its differences) and `steps`; each step as
`host: title`, waves parted by `--`. `part`: the part of the hosts that the phase is at, where it is
not all. `extra`: what extra.yaml has, which `inventory` may name. `unreadable`: why nobody can
tell what is left, instead of all those.
"""

import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hale.install import scheduler
from hale.install.cluster_context import MASTERS, WORKERS, ClusterContext
from hale.install.phase import Observations, Phase
from hale.model.errors import UserError
from hale.model.evidence import Unreadable
from hale.paths import ROOT
from remediate.cluster import load_balancer, readyz, templates
from tests.install import factories

HERE = Path(__file__).parent / "phases"
CASES = sorted(HERE.glob("*/*.toml"))


def plan_lines(phase: Phase, site: Any, found: Observations) -> list[str]:
    lines: list[str] = []
    for wave in (*phase.prepare(site, found), *phase.batches(site, found)):
        if lines and lines[-1] != "--":
            lines.append("--")
        lines += [f"{step.host}: {step.title}" for step in wave.steps]
        if wave.wait_for is not None:
            lines.append(f"until {wave.wait_for.title}")
    return lines[:-1] if lines[-1:] == ["--"] else lines


def digests(
    outputs: dict[str, dict[str, str]], module: ModuleType, site: Any, files: dict[str, Any]
) -> None:
    """`{sha256 PATH}` is of what the phase wants to have there; golden/ has the contents."""
    unknown = {
        host: {key: re.sub(r"\{sha256 \S+\}", "0" * 64, text) for key, text in one.items()}
        for host, one in outputs.items()
    }
    found = factories.observed(unknown, files)
    writes = getattr(load_balancer if module is readyz else module, "_files", None)
    for host in site.inventory.hosts:
        text = outputs[host.name].get("written.files", "")
        if "{sha256 " in text:
            wanted = writes(site, found, host) if writes else {}
            digest = {path: templates.digest(content) for path, content in wanted.items()}
            for path in re.findall(r"\{sha256 (\S+)\}", text):
                text = text.replace(f"{{sha256 {path}}}", digest[path])
            outputs[host.name]["written.files"] = text


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_phase(case: Path, tmp_path: Path) -> None:
    given = tomllib.loads(case.read_text())
    extra = {"extra_yaml": given["extra"]} if "extra" in given else {}
    site = factories.made(tmp_path, given.get("inventory", ""), **extra)
    site = replace(site, current_group=given.get("part", ""))
    everywhere = given["outputs"].pop("*", {})
    outputs = {h.name: everywhere | given["outputs"].get(h.name, {}) for h in site.inventory.hosts}
    phase = scheduler.load_phase(case.parent.name)
    files = given.get("files", {})
    digests(outputs, sys.modules[type(phase).__module__], site, files)
    found = factories.observed(outputs, files)
    if "unreadable" in given:
        with pytest.raises(Unreadable, match=given["unreadable"]):
            phase.remaining(site, found)
        return
    assert list(map(str, phase.remaining(site, found))) == given["left"]
    assert list(map(str, phase.differences(site, found))) == given.get("kept", [])
    assert list(phase.preflight(site, found)) == given.get("refusals", [])
    assert list(phase.gate_problems(site, found)) == given.get("gate", [])
    if "raises" in given:
        with pytest.raises(UserError, match=given["raises"]):
            plan_lines(phase, site, found)
    else:
        assert plan_lines(phase, site, found) == given.get("steps", [])


def test_every_phase_has_cases() -> None:
    shown = {case.parent.name for case in CASES}
    assert shown >= set(scheduler.phase_names()) - {"readyz", "addons"}


def test_the_how_to_names_every_hook() -> None:
    text = (ROOT / "docs/how-to/add-a-phase.md").read_text()
    hooks = [name for name in vars(Phase) if name[0] != "_" and callable(vars(Phase)[name])]
    assert len(hooks) > 10
    assert [name for name in hooks if name not in text] == []


@pytest.mark.parametrize("name", scheduler.phase_names())
def test_a_phase_needs_only_earlier_ones(name: str, tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    names = scheduler.phase_names()
    for unit in scheduler.tasks_of(name, site):
        before = scheduler.dependencies(unit, site)
        assert all(names.index(u.phase) < names.index(name) for u in before)
        assert bool(before) == bool(scheduler.load_phase(name).DEPENDS_ON)
    assert scheduler.load_phase(name).title


def test_workers_need_nothing_of_the_other_masters(tmp_path: Path) -> None:
    site = factories.made(tmp_path)
    others = {part for part, group in site.host_groups.items() if group == MASTERS}
    waited_for = everything_before(scheduler.PhaseTask("workers"), site)
    assert others
    assert not [unit for unit in waited_for if unit.group in others]
    assert scheduler.PhaseTask("init") in waited_for


def everything_before(unit: scheduler.PhaseTask, site: ClusterContext) -> set[scheduler.PhaseTask]:
    needs = scheduler.dependencies(unit, site)
    return set(needs).union(*(everything_before(need, site) for need in needs))


def test_no_worker_waits_for_the_masters_to_join(tmp_path: Path) -> None:
    """Nor does a head start keep it waiting: were no other master's join ever through, the workers
    would join all the same."""
    site = factories.made(tmp_path)
    now = 0.0
    going = scheduler.Scheduler(
        scheduler.phase_names(),
        site,
        dict.fromkeys(scheduler.phase_names(), Observations()),
        clock=lambda: now,
    )
    while (wait := going.next_wakeup()) is not None:
        now += wait
        for unit in going.ready():
            going.begin(unit)
            if unit.phase != "masters":
                going.end(unit, None)
    assert {unit.phase for unit in going.waiting} >= {"masters", "ready"}
    assert scheduler.PhaseTask("workers") not in going.waiting
    assert WORKERS not in {site.host_groups[unit.group] for unit in going.waiting}
