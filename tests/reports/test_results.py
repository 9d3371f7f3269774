"""results.json: what is written is documented, and what it says of itself is true."""

import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.audit import boots, recorder, results_file
from hale.audit import cases as audit_cases
from hale.audit.results_file import Reading, RowFields, SavedResults, StatedRequirement
from hale.inventory import ini
from hale.model import results
from hale.model.comparison import (
    AcceptedRun,
    ComparedRow,
    Comparison,
    DriftRecord,
    RowChange,
)
from hale.model.errors import UserError
from hale.model.notice import Notice
from hale.model.results import (
    ConfigLineRecord,
    EarlierRun,
    Guidance,
    HostRecord,
    OverrideRecord,
    ReferenceRecord,
    Result,
    Results,
    RowKey,
    Run,
    SiteCheck,
)
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverRecord, WaiverState
from hale.standard import loader
from tests.reports import factories

SECTIONS: dict[type[msgspec.Struct], str] = {
    SavedResults: "The file",
    StatedRequirement: "requirements",
    Reading: "readings",
    RowFields: "results",
    Guidance: "guidance",
    Run: "run",
    HostRecord: "hosts",
    OverrideRecord: "results",
    ConfigLineRecord: "results",
    RowKey: "deselected",
    SiteCheck: "site_checks",
    WaiverRecord: "results",
    WaiverState: "waivers",
    ReferenceRecord: "references",
    Notice: "notices",
    EarlierRun: "history",
    DriftRecord: "drift",
    AcceptedRun: "drift",
    Comparison: "drift",
    RowChange: "drift",
    ComparedRow: "drift",
}
DOCUMENT = factories.ROOT / "docs" / "results.md"
SCHEMA = factories.ROOT / "docs" / "results.schema.json"


# --- the documents ---


@pytest.mark.parametrize("struct", SECTIONS, ids=lambda s: s.__name__)
def test_every_field_is_documented(struct: type[msgspec.Struct]) -> None:
    sections = re.split(r"^##+ (.*)$", DOCUMENT.read_text(), flags=re.MULTILINE)
    entry = dict(zip(sections[1::2], sections[2::2], strict=True))[SECTIONS[struct]]
    missing = [f.name for f in msgspec.structs.fields(struct) if f"`{f.name}`" not in entry]
    assert not missing


def test_every_verdict_and_the_version_are_documented() -> None:
    entry = DOCUMENT.read_text()
    assert results.SCHEMA in entry
    assert [v for v in Verdict if f"`{v}`" not in entry] == []


def test_the_example_is_a_results_file() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    found = msgspec.json.decode(example, type=SavedResults)
    assert results_file.parse_results(example.encode(), DOCUMENT).results
    assert found.results
    assert found.hosts
    # No field is left out of it.
    assert msgspec.to_builtins(found) == json.loads(example)


def test_the_schema_is_current(request: pytest.FixtureRequest) -> None:
    wanted = json.dumps(msgspec.json.schema(SavedResults), indent=1, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        SCHEMA.write_text(wanted)
    assert SCHEMA.read_text() == wanted


# --- the file ---


def test_a_file_of_another_version_is_refused(tmp_path: Path, recorded: Results) -> None:
    path = tmp_path / "results.json"
    results_file.save_results(recorded, path)
    assert results_file.load_results(path) == recorded
    recorded.schema = "hale.results/0"
    results_file.save_results(recorded, path)
    with pytest.raises(UserError, match="results/0"):
        results_file.load_results(path)


def test_fields_that_are_not_known_are_ignored(tmp_path: Path, recorded: Results) -> None:
    path = tmp_path / "results.json"
    document = msgspec.to_builtins(results_file.saved_results(recorded))
    document["new"] = document["run"]["new"] = document["results"][0]["new"] = 1
    path.write_bytes(msgspec.json.encode(document))
    assert results_file.load_results(path) == recorded


def test_the_earlier_version_is_read(tmp_path: Path, recorded: Results) -> None:
    """The recorded run is of hale.results/1; saved again, it is of this version, and the same."""
    path = factories.DATA / "results.json"
    assert json.loads(path.read_bytes())["schema"] == results_file.SCHEMA_1
    results_file.save_results(recorded, tmp_path / "results.json")
    raw = (tmp_path / "results.json").read_bytes()
    assert json.loads(raw)["schema"] == results.SCHEMA != results_file.SCHEMA_1
    assert results_file.parse_results(raw, path) == recorded
    earlier = msgspec.json.decode(path.read_bytes(), type=Results)
    assert earlier.results == recorded.results


def test_every_field_of_a_row_is_saved() -> None:
    own = {field.name for field in msgspec.structs.fields(RowFields)}
    every = {field.name for field in msgspec.structs.fields(Result)}
    assert own - {"stated"} == every - set(results_file.SHARED)
    saved = {field.name for field in msgspec.structs.fields(SavedResults)}
    assert {field.name for field in msgspec.structs.fields(Results)} <= saved


def test_what_rows_share_is_saved_once(recorded: Results) -> None:
    recorded.results[0].log = "a log"
    raw = results_file.encode_results(recorded)
    saved = msgspec.json.decode(raw, type=SavedResults)
    assert len(saved.texts) == len(set(saved.texts)) > 0
    assert len(saved.readings) == len(set(saved.readings))
    assert len(saved.requirements) == len({r.requirement for r in recorded.results})
    lines = raw.decode().splitlines()
    assert sum(line.startswith('{"host":') for line in lines) == len(recorded.results)


@pytest.mark.parametrize(
    "change",
    [
        {"results": {"stated": 99}},
        {"results": {"evidence": [9999]}},
        {"results": {"evidence": [-1]}},
        {"readings": {"output": 9999}},
        {"readings": {"output": -1}},
    ],
)
def test_a_number_without_its_element_is_refused(
    tmp_path: Path, recorded: Results, change: dict[str, dict[str, Any]]
) -> None:
    document = msgspec.to_builtins(results_file.saved_results(recorded))
    for name, fields in change.items():
        document[name][0] |= fields
    path = tmp_path / "results.json"
    path.write_bytes(msgspec.json.encode(document))
    with pytest.raises(UserError, match="not a Hale results file"):
        results_file.load_results(path)


def test_bytes_that_are_no_text_do_not_cost_the_results(tmp_path: Path, recorded: Results) -> None:
    odd = "/srv/\udcff.ini"
    recorded.run.inventory = odd
    recorded.run.command_line = ["pytest", odd]
    recorded.run.packages = {odd: odd}
    recorded.results[0].actual = odd
    path = tmp_path / "results.json"
    results_file.save_results(recorded, path)
    again = results_file.load_results(path)
    assert again.run.inventory == r"/srv/\udcff.ini"
    assert again.run.command_line == ["pytest", r"/srv/\udcff.ini"]
    assert again.results[0].actual == r"/srv/\udcff.ini"


def test_passwords_that_were_typed_are_not_kept(tmp_path: Path, recorded: Results) -> None:
    recorded.run.command_line = ["pytest", "--hosts=ssh://root:S3cr3t@web1"]
    recorded.run.hosts_expression = "ssh://root:S3cr3t@web1"
    kept = recorder.Recorder(tmp_path / "results.json", recorded.run)
    kept.begin([], [], [])
    written = (tmp_path / "results.json").read_text()
    assert "S3cr3t" not in written
    assert "ssh://root:********@web1" in written


# --- the file from the first moment on ---


def test_every_row_is_there_before_the_first_test(tmp_path: Path, recorded: Results) -> None:
    known = ini.load_inventory(factories.DATA / "inventory.ini")
    stated = loader.load_standard(factories.ROOT / "standard")
    cases = audit_cases.build_cases(known, stated, "document", known.hosts)
    path = tmp_path / "results.json"
    kept = recorder.Recorder(path, recorded.run)
    kept.begin(cases[:10], cases, recorded.hosts)
    found = results_file.load_results(path)
    assert len(found.results) == 10
    assert {r.verdict for r in found.results} == {Verdict.UNKNOWN}
    assert len(found.deselected) == len(cases) - 10
    assert found.hosts == recorded.hosts
    # A row that was judged replaces the one that stood for it; the rest stay unknown.
    one = msgspec.structs.replace(found.results[3], verdict=Verdict.PASS, actual="fine")
    kept.record(one)
    kept.end(2, ["9 cases selected but not judged"])
    found = results_file.load_results(path)
    assert [r.verdict for r in found.results].count(Verdict.PASS) == 1
    assert found.results[3].actual == "fine"
    assert kept.unjudged == 9


@pytest.mark.parametrize(
    ("status", "judged", "state"),
    [
        (0, 1, "finished"),
        (1, 1, "finished"),
        (0, 0, "interrupted"),
        (1, 0, "interrupted"),
        (2, 1, "interrupted"),
        (3, 1, "interrupted"),
    ],
)
def test_only_a_run_that_judged_all_is_finished(
    tmp_path: Path, recorded: Results, status: int, judged: int, state: str
) -> None:
    known = ini.load_inventory(factories.DATA / "inventory.ini")
    stated = loader.load_standard(factories.ROOT / "standard")
    case = audit_cases.build_cases(known, stated, "document", known.hosts)[0]
    recorded.run.state = "interrupted"
    kept = recorder.Recorder(tmp_path / "results.json", recorded.run)
    kept.begin([case], [case], [])
    if judged:
        kept.record(results.unjudged(case, Verdict.PASS, "fine"))
    kept.end(status, [])
    assert results_file.load_results(tmp_path / "results.json").run.state == state


# --- what a reboot has proven ---

HOST = "k8s-master-01"
LINES = [("/etc/x", 1, "x = 1", True, 50.0)]


def row(aspect: str, verdict: Verdict = Verdict.PASS, lines: Sequence[Any] = ()) -> Result:
    common: dict[str, Any] = {
        "host": "h", "requirement": "R-1", "chapter": 1, "title": "", "subject": "",
        "severity": "", "profile": "", "expected": "", "actual": "", "test": aspect,
    }  # fmt: skip
    settings = [ConfigLineRecord(*line) for line in lines]
    return Result(aspect=aspect, verdict=verdict, settings=settings, **common)


def reading(boot: str, read_at: str, rows: list[Result], **changes: Any) -> Results:
    """The results of an audit of host h. changes: of its run and of its host."""
    given: dict[str, Any] = {f.name: "" for f in msgspec.structs.fields(Run) if f.required}
    given |= {"packages": {}, "command_line": [], "kind": "audit", "state": "finished"}
    run = msgspec.convert({n: changes.get(n, v) for n, v in given.items()}, Run)
    run.evidence_from = changes.get("evidence_from", "")
    machine = changes.get("machine_id", "m")
    host = HostRecord("h", machine_id=machine, boot_id=boot, read_at=read_at)
    return Results(results.SCHEMA, run, [host], rows, [])


def proof(folder: Path, **changes: Any) -> tuple[bool, str]:
    """Whether the persisted row counts as proven by a reboot, and why not.

    Without changes: an audit of the boot before has read the same line.
    """
    given: dict[str, Any] = {
        "runtime": Verdict.PASS, "persisted": Verdict.PASS, "aspect": "persisted",
        "lines": LINES, "before": LINES, "boot": "b", "boot_before": "a",
        "read_before": "2026-01-01T00:00:00.000Z", "place": "2026-01-01T000000Z-audit",
        "damage": lambda raw: raw, "earlier": {},
    } | changes  # fmt: skip
    then = row(given["aspect"], given["persisted"], given["lines"])
    now = row("runtime", given["runtime"])
    mine = reading(given["boot"], "2026-01-02T00:00:00.000Z", [now, then])
    mine.hosts[0].machine_id = changes.get("machine_id", "m")
    rows = [row("runtime"), row("persisted", lines=given["before"])]
    before = reading(given["boot_before"], given["read_before"], rows, **given["earlier"])
    path = folder / given["place"] / "results.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(given["damage"](results_file.encode_results(before)))
    boots.mark_reboot_proven(mine, folder / "2026-01-02T000000Z-audit")
    assert not now.reboot_proven
    return then.reboot_proven, mine.hosts[0].boot_unclear


@pytest.mark.parametrize("place", ["2026-fix/after", "2026-fix/before", "2027-audit", "2025-audit"])
def test_an_audit_of_an_earlier_boot_proves_what_has_not_changed_since(
    tmp_path: Path, place: str
) -> None:
    two = [*LINES, ("/etc/y", 2, "y", True, 60.0)]
    loser = ("/etc/z", 3, "z", False, 70.0)
    assert proof(tmp_path / "same", place=place) == (True, "")
    assert proof(tmp_path / "two", place=place, lines=two, before=two) == (True, "")
    assert proof(tmp_path / "less", place=place, before=two) == (True, "")
    assert proof(tmp_path / "loser", place=place, lines=[*LINES, loser]) == (True, "")


@pytest.mark.parametrize(
    "changes",
    [
        {"runtime": Verdict.FAIL},
        {"runtime": Verdict.UNKNOWN},
        {"persisted": Verdict.FAIL},
        {"aspect": "inventory"},
        # Written again, by a clock that was stepped forward, or back to before the boot.
        {"lines": [("/etc/x", 1, "x = 1", True, 51.0)]},
        {"lines": [("/etc/x", 1, "x = 1", True, 49.0)]},
        {"lines": [("/etc/x", 1, "x = 1", True, 49.9999)]},
        {"lines": [("/etc/x", 1, "x  = 1", True, 50.0)]},
        {"lines": [("/etc/y", 1, "x = 1", True, 50.0)]},
        {"lines": [*LINES, ("/etc/y", 2, "y", True, 60.0)]},  # one of two
        {"lines": []},
        {"before": []},
        {"before": [("/etc/x", 1, "x = 1", False, 50.0)]},  # it did not win then
        # When the file changed is unknown.
        {"lines": [("/etc/x", 1, "x", True, 0.0)], "before": [("/etc/x", 1, "x", True, 0.0)]},
    ],
    ids=str,
)
def test_not_proven_by_a_reboot(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert proof(tmp_path, **changes) == (False, "")


NO_AUDIT = "no audit of an earlier boot was found"


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"boot_before": "b"}, NO_AUDIT),  # this boot
        ({"boot_before": ""}, NO_AUDIT),
        ({"boot": ""}, "its boot id or machine-id could not be read"),
        ({"machine_id": ""}, "its boot id or machine-id could not be read"),
        ({"earlier": {"machine_id": "another"}}, NO_AUDIT),
        ({"earlier": {"machine_id": ""}}, NO_AUDIT),
        ({"read_before": "2026-01-03T00:00:00.000Z"}, NO_AUDIT),  # of a later boot
        ({"read_before": ""}, NO_AUDIT),
        ({"earlier": {"evidence_from": "evidence.json"}}, NO_AUDIT),
        ({"earlier": {"state": "interrupted"}}, NO_AUDIT),
        ({"earlier": {"kind": "drill"}}, NO_AUDIT),
        ({"place": "2026-01-02T000000Z-audit"}, NO_AUDIT),  # the run itself
        pytest.param({"damage": lambda raw: raw[:300]}, NO_AUDIT, id="cut off"),
        pytest.param({"damage": lambda raw: b"[" * 100_000}, NO_AUDIT, id="nested"),
        pytest.param(
            {"damage": lambda raw: raw.replace(b"hale.results/2", b"hale.results/9")},
            NO_AUDIT,
            id="another schema",
        ),
        pytest.param({"damage": lambda raw: b""}, NO_AUDIT, id="empty"),
    ],
    ids=str,
)
def test_no_audit_of_an_earlier_boot(tmp_path: Path, changes: dict[str, Any], doubt: str) -> None:
    assert proof(tmp_path, **changes) == (False, doubt)


def test_an_earlier_audit_of_other_rows_leaves_the_word_to_the_one_before(tmp_path: Path) -> None:
    others = reading("a2", "2026-01-01T12:00:00.000Z", [row("runtime")])
    path = tmp_path / "2026-01-01T120000Z-audit" / "results.json"
    path.parent.mkdir()
    path.write_bytes(results_file.encode_results(others))
    assert proof(tmp_path) == (True, "")


def test_earlier_audits_that_are_no_files_are_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "2026-01-01T120000Z-audit").mkdir()
    os.mkfifo(tmp_path / "2026-01-01T120000Z-audit" / "results.json")
    (tmp_path / "2026-01-01T130000Z-audit").mkdir()
    (tmp_path / "2026-01-01T130000Z-audit" / "results.json").symlink_to("/dev/zero")
    assert proof(tmp_path) == (True, "")


def test_a_run_after_a_reboot(tmp_path: Path, complete: factories.Audited) -> None:
    """From the command line: the audit before was of another boot of one of the hosts.

    One of its files was written again since, at a time before the boot, as by a stepped clock.
    """
    before = complete.results
    before.run.evidence_from = ""
    again = ""
    for host in before.hosts:
        host.read_at = host.read_at and "2020" + host.read_at[4:]
        if host.name == HOST:
            host.boot_id = "00000000-0000-0000-0000-000000000000"
    for one in before.results:
        if one.host == HOST and one.aspect == "persisted":
            winners = [s for s in one.settings if s.wins]
            again = again or (winners[0].path if winners and one.verdict is Verdict.PASS else "")
            one.settings = [
                msgspec.structs.replace(s, changed=s.changed - 0.001) if s.path == again else s
                for s in one.settings
            ]
    assert again
    (tmp_path / "2020-fix" / "after").mkdir(parents=True)
    path = tmp_path / "2020-fix" / "after" / "results.json"
    path.write_bytes(results_file.encode_results(before))
    ran = factories.audit(tmp_path)
    found = ran.results
    proven = [r for r in found.results if r.reboot_proven]
    assert {r.host for r in proven} == {HOST}
    lines = [s for r in proven for s in r.settings if s.wins]
    assert lines
    assert again not in {s.path for s in lines}
    doubts = {h.name: h.boot_unclear for h in found.hosts if not h.down}
    assert doubts.pop(HOST) == ""
    assert {*doubts.values()} == {NO_AUDIT}
    page = ran.text("report.html")
    assert f"({NO_AUDIT})" in page
    assert 'PASS">✓<sup>↻</sup>' in page or "✓<sup>↻</sup></a>" in page


# --- a run's own account ---


def test_who_ran_what(complete: factories.Audited) -> None:
    run = complete.results.run
    assert run.kind == "audit"
    assert run.state == "finished"
    assert run.operator
    assert run.source_host
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", run.git_revision)
    assert run.started < run.ended
    for digest in (run.inventory_sha256, run.standard_sha256, run.overrides_sha256):
        assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert run.site == "lab"
    assert run.exit_status == complete.status == 1
    assert run.command_line[0] == "pytest"
    assert f"--reports={complete.folder.parent}" in run.command_line
    assert run.evidence_from == str(factories.DATA / "evidence.json")
    assert "pytest-testinfra" in run.packages
    assert not run.incomplete
    assert not complete.results.deselected


def test_which_machine_answered(complete: factories.Audited) -> None:
    hosts = {h.name: h for h in complete.results.hosts}
    assert len(hosts) == 5
    host = hosts["k8s-master-01"]
    fields = msgspec.to_builtins(host)
    assert [name for name, value in fields.items() if not value] == [
        "kubernetes",  # no kubelet runs on the recorded hosts
        "down",
    ]
    assert host.host_key.startswith("ssh-ed25519 SHA256:")
    down = hosts["k8s-node-02"]
    assert down.down
    assert not down.machine_id


def test_every_row_says_what_it_rests_on(complete: factories.Audited) -> None:
    judged = [
        r
        for r in complete.results.results
        if r.verdict in (Verdict.PASS, Verdict.FAIL) and r.aspect in ("runtime", "persisted")
    ]
    assert len(judged) > 20
    for row in judged:
        assert row.expected
        assert row.actual
        assert row.evidence, row
        assert all(e.read_at for e in row.evidence)


def test_winners_and_losers_have_their_place(complete: factories.Audited) -> None:
    row = next(
        r
        for r in complete.results.results
        if (r.host, r.requirement, r.aspect) == ("k8s-master-03", "SYS-IP-FORWARD", "persisted")
    )
    winners = [s for s in row.settings if s.wins]
    assert [(s.path, s.line) for s in winners] == [("/etc/sysctl.d/zz-old.conf", 1)]
    assert "<script>" in winners[0].text


def test_the_hosts_configuration_is_for_the_operator_alone(complete: factories.Audited) -> None:
    mode = (complete.folder / "evidence.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    names = sorted(p.name for p in complete.folder.iterdir())
    assert names == ["SHA256SUMS", "evidence.json", "junit.xml", "report.html", "results.json"]
