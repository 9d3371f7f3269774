"""Real runs of `pytest`: the same with xdist, honest when cut short or when they cover less."""

import re
import signal
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from hale.model.results import Result, Results
from hale.model.verdict import Verdict
from tests.reports import factories
from tests.reports.pages import Markup

HANG = "test_runtime[k8s-node-01-SYS-IP-FORWARD]"


def timeless(rows: list[Result]) -> list[Result]:
    return [msgspec.structs.replace(row, duration=0.0) for row in rows]


def test_rows_are_the_same_with_xdist(
    complete: factories.Audited, distributed: factories.Audited
) -> None:
    one, two = complete.results, distributed.results
    assert timeless(one.results) == timeless(two.results)
    assert one.hosts == two.hosts
    assert one.deselected == two.deselected == []
    assert two.run.state == "finished"
    assert two.run.incomplete == one.run.incomplete == []


# --- less than everything ---


@pytest.fixture(scope="module")
def fewer(tmp_path_factory: pytest.TempPathFactory) -> factories.Audited:
    """Neither all hosts nor all rows."""
    chosen = ("--hosts=masters", "-k", "not hostname", "-m", "chapter6 or chapter9")
    return factories.audit(tmp_path_factory.mktemp("fewer"), *chosen)


def test_selected_and_deselected_are_everything(
    complete: factories.Audited, fewer: factories.Audited
) -> None:
    found = fewer.results
    every = factories.names(complete.results.results)
    selected = factories.names(found.results)
    deselected = [(r.host, r.requirement, r.aspect) for r in found.deselected]
    assert selected
    assert {name[0] for name in selected} == {f"k8s-master-0{n}" for n in (1, 2, 3)}
    assert {r.chapter for r in found.results} == {9}
    assert not set(selected) & set(deselected)
    assert sorted([*selected, *deselected]) == sorted(every)


def test_incomplete_is_said_everywhere(fewer: factories.Audited) -> None:
    reasons = fewer.results.run.incomplete
    assert reasons[0] == "hosts of the inventory left out: k8s-node-01, k8s-node-02"
    here = [d for d in fewer.results.deselected if not d.host.startswith("k8s-node")]
    assert any(str(len(here)) in reason for reason in reasons[1:])
    for reason in reasons:
        assert f"INCOMPLETE: {reason}" in fewer.printed
        assert reason in Markup(fewer.text("report.html")).text
    suite = junit(fewer)
    assert "INCOMPLETE" in suite.attrib["name"]
    assert [v for n, v in properties(suite) if n == "INCOMPLETE"] == reasons
    assert "· INCOMPLETE</title>" in fewer.text("report.html")


def test_a_complete_run_is_not_called_incomplete(complete: factories.Audited) -> None:
    assert "INCOMPLETE" not in complete.printed
    assert "INCOMPLETE" not in complete.text("junit.xml")
    page = Markup(complete.text("report.html")).text
    assert "hosts of the inventory left out" not in page
    assert "deselected" not in page
    assert page.count("not reached: k8s-node-02") == 1


def test_every_failed_requirement_has_its_guidance(complete: factories.Audited) -> None:
    found = complete.results
    failed = dict.fromkeys(r.requirement for r in found.results if r.verdict.failed)
    assert {g.requirement for g in found.guidance} == set(failed)
    by_id = {g.requirement: g for g in found.guidance}
    assert by_id["SYS-IP-FORWARD"].fixed_aspects == ["runtime", "persisted"]
    assert by_id["HA-ETCD-MEMBERS"].fixed_aspects == []
    page = Markup(complete.text("report.html")).text
    reached = {r.requirement for r in found.results if r.verdict is Verdict.FAIL}
    for one in found.guidance:
        assert one.why in page or one.requirement not in reached
        assert "{{" not in one.by_hand
    assert "--only=SYS-IP-FORWARD" in page


def test_cluster_purpose_ticket_and_groups_are_on_the_page(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.ini"
    known = (factories.DATA / "inventory.ini").read_text()
    variables = "hale_purpose=payments, live\ncluster_name=berlin\n"
    inventory.write_text(known.replace("[k8s:vars]\n", f"[k8s:vars]\n{variables}"))
    given = (f"--evidence={factories.DATA / 'evidence.json'}", f"--inventory={inventory}")
    ran = factories.audit(
        tmp_path, "-k", "SWAP-OFF", "--metadata", "ticket", "CHG-1", "--metadata", "approver",
        "B. Ito", given=given,
    )  # fmt: skip
    assert (ran.results.run.cluster, ran.results.run.purpose) == ("berlin", "payments, live")
    assert ran.results.hosts[0].groups == ["masters", "k8s"]
    text = " ".join(Markup(ran.text("report.html")).text.split())
    assert "cluster berlin: payments, live ticket CHG-1" in text
    assert "approved byB. Ito" in text


def test_stopping_at_the_first_failure(tmp_path: Path) -> None:
    ran = factories.audit(tmp_path, "-x", "-m", "chapter5 or chapter9")
    found = ran.results
    assert found.run.state == "interrupted"
    red = [r for r in found.results if r.verdict.failed and "not judged" not in r.actual]
    assert len(red) == 1
    remaining = [r for r in found.results if "not judged" in r.actual]
    assert remaining
    assert {r.verdict for r in remaining} == {Verdict.UNKNOWN}
    assert f"{len(remaining)} cases selected but not judged" in found.run.incomplete
    assert "INTERRUPTED" in ran.printed
    assert "<b>INTERRUPTED</b>" in ran.text("report.html")
    assert "INTERRUPTED" in junit(ran).attrib["name"]


def test_nothing_selected(tmp_path: Path) -> None:
    ran = factories.audit(tmp_path, "-k", "no_such_thing")
    assert ran.status == 5
    assert ran.results.results == []
    assert ran.results.run.incomplete
    assert "nothing was judged" in ran.printed
    assert "nothing was judged" in ran.text("report.html")


# --- cut short ---


def whole_and_interrupted(ran: factories.Audited) -> Results:
    """results.json of a run that was ended while HANG ran: every row there, none invented."""
    found = ran.results
    assert found.run.state == "interrupted"
    rows = {f"{r.host}-{r.requirement}": r for r in found.results if r.aspect == "runtime"}
    assert rows["k8s-node-01-SYS-IP-FORWARD"].verdict is Verdict.UNKNOWN
    unjudged = [r for r in found.results if "not judged" in r.actual]
    assert unjudged
    assert {r.verdict for r in unjudged} == {Verdict.UNKNOWN}
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_ctrl_c(tmp_path: Path, complete: factories.Audited, workers: tuple[str, ...]) -> None:
    ran = factories.cut_short(tmp_path, signal.SIGINT, *workers, at=HANG)
    found = whole_and_interrupted(ran)
    # A write that SIGKILL cuts short leaves its temporary file; SIGINT leaves none.
    assert not [p.name for p in ran.folder.iterdir() if p.name.startswith(".")]
    assert factories.names(found.results) == factories.names(complete.results.results)
    assert found.run.exit_status == 2
    assert found.run.ended
    # What was judged before is kept; of a pair that is half judged, nothing is proven.
    judged = {r.test: r for r in found.results if "not judged" not in r.actual}
    assert len(judged) > 10
    for row in complete.results.results:
        if row.test in judged:
            kept = judged[row.test]
            assert kept.reboot_proven <= row.reboot_proven
            proof = {"reboot_proven": False, "duration": 0.0}
            assert msgspec.structs.replace(kept, **proof) == msgspec.structs.replace(row, **proof)
    assert "INTERRUPTED" in ran.printed
    if not workers:
        assert "<b>INTERRUPTED</b>" in ran.text("report.html")
        assert "INTERRUPTED" in junit(ran).attrib["name"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_kill_9(tmp_path: Path, complete: factories.Audited, workers: tuple[str, ...]) -> None:
    ran = factories.cut_short(tmp_path, signal.SIGKILL, *workers, at=HANG)
    assert ran.status == -signal.SIGKILL
    found = whole_and_interrupted(ran)
    assert factories.names(found.results) == factories.names(complete.results.results)
    # What a boot has proven is known when all is judged.
    expected = [msgspec.structs.replace(h, boot_unclear="") for h in complete.results.hosts]
    assert found.hosts == expected
    assert found.run.exit_status is None
    assert found.run.ended == ""


UNREACHABLE = """
[masters]
web1 ansible_host=192.0.2.1
[masters:vars]
vip=192.0.2.9
vip_port=16443
vip_names="master.example"
ansible_user=root
ansible_ssh_common_args="-F {config}"
"""


def silent(folder: Path) -> tuple[str]:
    """A host that takes the connection and then says nothing; no packet leaves this machine."""
    config, known = folder / "ssh_config", folder / "inventory.ini"
    config.write_text("Host *\n  ProxyCommand sleep 60\n")
    known.write_text(UNREACHABLE.format(config=config))
    return (f"--inventory={known}",)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_ctrl_c_while_hosts_are_read(tmp_path: Path, workers: tuple[str, ...]) -> None:
    arguments = (*silent(tmp_path), "--hosts=all", "--connect-timeout=50", *workers)

    def there() -> bool:
        return bool(list(tmp_path.glob("*-audit/results.json")))

    ran = factories.ended(tmp_path, signal.SIGINT, *arguments, when=there)
    found = ran.results
    assert found.run.state == "interrupted"
    assert found.results
    assert {r.verdict for r in found.results} == {Verdict.UNKNOWN}


# Ctrl-C in the middle of an import: there Python runs callbacks of weak references.
LOSES = """
import signal, weakref
from hale.report import html

class Lock:
    pass

def preload():
    lock = Lock()
    kept = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGINT))
    del lock

html.preload = preload
"""


def test_ctrl_c_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "loses.py").write_text(LOSES)
    known = silent(tmp_path)
    chosen = ("--hosts=all", "--connect-timeout=55", "-p", "loses")
    begun = time.monotonic()
    ran = factories.audit(tmp_path, *chosen, given=known, PYTHONPATH=str(tmp_path))
    assert time.monotonic() - begun < 50, "nobody was waited for"
    assert ran.status == pytest.ExitCode.INTERRUPTED
    assert ran.results.run.state == "interrupted"


# --- junit.xml ---


def junit(ran: factories.Audited) -> ElementTree.Element:
    suite = ElementTree.parse(ran.folder / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    return suite


def properties(of: ElementTree.Element) -> list[tuple[str, str]]:
    found = of.find("properties")
    return [] if found is None else [(p.attrib["name"], p.attrib["value"]) for p in found]


def test_junit_says_what_the_results_say(complete: factories.Audited) -> None:
    suite = junit(complete)
    cases = {}
    for case in suite.iter("testcase"):
        output = dict(properties(case))
        cases[output["host"], output["requirement"], output["aspect"]] = case, output["verdict"]
    assert sorted(cases) == sorted(factories.names(complete.results.results))
    for row in complete.results.results:
        case, verdict = cases[row.host, row.requirement, row.aspect]
        assert verdict == row.verdict
        kinds = [child.tag for child in case if child.tag != "properties"]
        assert kinds == {"PASS": [], "FAIL": ["failure"], "UNKNOWN": ["error"]}.get(
            row.verdict, ["skipped"]
        )
    given = dict(properties(suite))
    assert given["profile"] == complete.results.run.profile
    assert given["site"] == "lab"
    assert suite.attrib["name"] == "hale audit"


def test_junit_shows_no_control_characters(complete: factories.Audited) -> None:
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", complete.text("junit.xml")
    )
