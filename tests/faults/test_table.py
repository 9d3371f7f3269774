"""The table itself: it covers the whole standard, and a fault cannot pass for no reason."""

from hale.model.results import RowKey
from hale.paths import ROOT
from hale.standard import loader
from lab.faults.fault import HostFault, fail, slug
from tests.cluster.faults.table import FAULTS as CLUSTERS
from tests.faults import audit, proofs
from tests.faults.audit import JudgedRow
from tests.faults.table import EVERY, FAULTS, turned


def test_every_row_of_the_standard_has_a_fault_on_a_real_host() -> None:
    stated = {
        (r.id, aspect)
        for r in loader.load_standard(ROOT / "standard").requirements
        for aspect in r.aspects
        if aspect != "drill"  # measured by a drill, not by an audit
    }
    real = {
        key
        for key, by in turned().items()
        if any(isinstance(f, HostFault) and red(f, key) for f in by)
    }
    clusters = {(row.requirement, row.aspect) for fault in CLUSTERS for row in fault.rows}
    assert stated - real - clusters - set(proofs.ONLY_RECORDED) == set()
    unknown = (set(turned()) | clusters) - stated
    assert unknown == set(), "faults of rows that the standard does not have"


def red(fault: HostFault, key: tuple[str, str]) -> bool:
    """Whether the fault turns this row red on some host."""
    return any(
        turn.verdict in proofs.RED
        for row, turn in fault.rows.items()
        if (row.requirement, row.aspect) == key
    )


def test_what_is_only_recorded_has_a_record_and_no_real_host() -> None:
    for key in proofs.ONLY_RECORDED:
        assert key in turned()
        assert not any(isinstance(fault, HostFault) for fault in turned()[key])


def test_the_table_is_as_large_as_promised() -> None:
    assert len([fault for fault in FAULTS if fault.turns]) >= 70


def test_names_are_unique() -> None:
    names = [fault.name for fault in (*EVERY, *CLUSTERS)]
    assert sorted(names) == sorted(set(names))
    slugs = [slug(name) for name in names]
    assert sorted(slugs) == sorted(set(slugs)), "test ids and files of plans go by these"


def test_every_turn_says_why() -> None:
    every = (*EVERY, *CLUSTERS)
    assert [f.name for f in every for turn in f.turns.values() if not turn.reason] == []


def test_every_fault_has_a_way_back() -> None:
    assert [f.name for f in FAULTS if not f.files and not f.undo] == []


# --- what tells a right audit from a wrong one ---

MINE, OTHER = RowKey("a", "X-Y", "runtime"), RowKey("b", "X-Y", "runtime")
BEFORE = {MINE: JudgedRow("PASS", "is 1"), OTHER: JudgedRow("PASS", "is 1")}
TURNS = {MINE: fail("is 0")}


def test_exactly_the_row_turned() -> None:
    assert audit.trouble(BEFORE, BEFORE | {MINE: JudgedRow("FAIL", "is 0")}, TURNS, "a") == []


def test_nothing_turned() -> None:
    assert audit.trouble(BEFORE, BEFORE, TURNS, "a")


def test_red_for_another_reason() -> None:
    assert audit.trouble(BEFORE, BEFORE | {MINE: JudgedRow("FAIL", "is 2")}, TURNS, "a")


def test_another_red_than_was_said() -> None:
    assert audit.trouble(BEFORE, BEFORE | {MINE: JudgedRow("UNKNOWN", "is 0")}, TURNS, "a")


def test_another_host_turned_too() -> None:
    after = {MINE: JudgedRow("FAIL", "is 0"), OTHER: JudgedRow("FAIL", "is 0")}
    assert audit.trouble(BEFORE, after, TURNS, "a")


def test_another_host_says_something_else() -> None:
    after = {MINE: JudgedRow("FAIL", "is 0"), OTHER: JudgedRow("PASS", "is 1, late")}
    assert audit.trouble(BEFORE, after, TURNS, "a")


def test_of_each_host_with_a_fault_the_verdicts_count() -> None:
    after = {MINE: JudgedRow("FAIL", "is 0"), OTHER: JudgedRow("PASS", "is 1, late")}
    assert audit.trouble(BEFORE, after, TURNS, "a", "b") == []
    turned = {MINE: JudgedRow("FAIL", "is 0"), OTHER: JudgedRow("FAIL", "is 1, late")}
    assert audit.trouble(BEFORE, turned, TURNS, "a", "b")


def test_a_row_vanished() -> None:
    assert audit.trouble(BEFORE, {MINE: JudgedRow("FAIL", "is 0")}, TURNS, "a")


def test_red_before_and_after_for_the_same_reason_proves_nothing() -> None:
    red = BEFORE | {MINE: JudgedRow("FAIL", "is 0")}
    assert audit.trouble(red, red, TURNS, "a")
