"""From evidence to facts: what was not read is never a fact."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hale.audit import evidence_file
from hale.audit.audit import Audit
from hale.audit.cases import overrides_sha256
from hale.audit.judge import parse_fact
from hale.gather import Transport
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost
from hale.model.evidence import Unreadable
from hale.model.requirement import Case
from hale.model.verdict import Verdict
from hale.standard import loader

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "data"


def no_transport(chosen: SelectedHost) -> Transport:
    raise AssertionError(f"{chosen.host.name} was asked")


def audit(known: Inventory, *names: str) -> Audit:
    chosen = tuple(SelectedHost(h) for h in known.hosts if not names or h.name in names)
    stated = loader.load_standard(ROOT / "standard")
    return Audit(known, stated, "extended", chosen, no_transport, 1.0)


def fact_of(run: Audit, case: Case[Any]) -> Any:
    return parse_fact(case, run.view(case))


def test_without_evidence_every_row_that_reads_is_unreadable() -> None:
    run = audit(ini.load_inventory(DATA / "inventory.ini"))
    for case in run.cases:
        if case.aspect == "inventory":
            continue
        with pytest.raises(Exception) as raised:  # noqa: PT011 - N-A for some roles
            fact_of(run, case)
        assert type(raised.value).__name__ in ("Unreadable", "NotApplicable"), case.nodeid


def test_a_row_of_the_cluster_that_no_host_tells_of(tmp_path: Path) -> None:
    """All of nothing agree, and none of nothing is bad: a cluster without masters would pass."""
    path = tmp_path / "inventory.ini"
    path.write_text("[workers]\nw1\n[all:vars]\nvip=192.0.2.1\nvip_port=1\nvip_names=api.example\n")
    run = audit(ini.load_inventory(path))
    rows = [c for c in run.cases if c.host is None and c.requirement.reads == "masters"]
    assert rows
    for case in rows:
        if case.aspect not in ("inventory", "drill"):
            with pytest.raises(Unreadable, match="no host is in the group masters"):
                fact_of(run, case)


def test_what_a_case_sees_is_parsed_once_and_every_error_kept() -> None:
    run = audit(ini.load_inventory(DATA / "inventory.ini"))
    first = [run.judge(case) for case in run.cases]
    for judged in first:
        failed = judged.result.verdict is Verdict.FAIL
        assert (judged.fact is None) == (judged.error is not None and not failed)
    assert {type(s.error).__name__ for s in first} >= {"Unreadable", "NotApplicable"}
    run.hosts = evidence_file.load_evidence(DATA / "evidence.json").hosts
    assert [run.judge(case) for case in run.cases] == first


def test_recorded_evidence_is_judged_without_asking() -> None:
    run = audit(ini.load_inventory(DATA / "inventory.ini"))
    run.hosts = evidence_file.load_evidence(DATA / "evidence.json").hosts
    (case,) = (c for c in run.cases if c.nodeid.endswith("runtime[k8s-node-01-SYS-IP-FORWARD]"))
    assert fact_of(run, case).value == 1


def test_no_host_is_contacted_for_rows_of_the_inventory_or_a_drill() -> None:
    run = audit(ini.load_inventory(DATA / "inventory.ini"))
    run.gather([c for c in run.cases if c.aspect in ("inventory", "drill")], lambda _: None)
    assert run.hosts == {}


def test_other_overrides_have_another_digest() -> None:
    known = ini.load_inventory(DATA / "inventory.ini")
    first = known.hosts[0]
    variable = replace(first.variables["ansible_user"], value="2")
    changed = replace(first, variables={**first.variables, "hale_sys_ip_forward__value": variable})
    other = replace(known, hosts=(changed, *known.hosts[1:]))
    assert overrides_sha256(audit(known).cases) != overrides_sha256(audit(other).cases)
