"""Files that an operator names or keeps: a valid one of each kind, and what reads it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from hale.apply import journal
from hale.audit import accepted, boots, evidence_file, results_file, waivers
from hale.drill import journal as drills
from hale.files import manifest
from hale.install import saved_plan
from hale.install.cluster_context import documents as yaml_documents
from hale.install.options import InstallOptions
from hale.inventory import cluster_spec, ini
from hale.model import results
from hale.model.comparison import AcceptedRun, ComparedRow
from hale.model.results import ConfigLineRecord, HostRecord, Result, Results, Run
from hale.model.verdict import Verdict
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Step
from hale.standard import loader
from tests.engine.pytest_cli import DATA
from tests.engine.test_waivers import STANDARD, text_of
from tests.hostile.forgery import K8S, edit
from tests.hostile.test_plans import made, value
from tests.install import factories

KINDS = (
    *("plan", "journal", "drill's journal", "evidence", "results", "inventory", "baseline"),
    *("waivers", "accepted results", "manifest", "install plan", "site's YAML"),
    "earlier results",
)
KNOWN = ini.load_inventory(DATA / "inventory.ini")


def documents(folder: Path) -> dict[str, tuple[str, str, Callable[[Path], object]]]:
    """By what it is: the file's name, a valid one, and its reader."""
    plan.save_plan(made(edit(K8S)), folder / "p.json")
    data = ROOT / "tests/engine/data"
    header = {
        "type": "run",
        "schema": journal.SCHEMA,
        "run": "2026-01-01T000000Z-fix",
        "kind": "fix",
    }
    header |= dict.fromkeys(("operator", "source_host", "inventory", "plan_sha256", "at"), "")
    step = Step(("SYS-IP-FORWARD",), value("/proc/sys/net/ipv4/ip_forward"))
    lines = [
        msgspec.json.encode(header),
        msgspec.json.encode(journal.StepStarted("h", 1, step, "", (), "")),
        msgspec.json.encode(journal.StepDone("h", 1, (step.change,), "")),
    ]
    drill = (
        '{"type":"drill","schema":"hale.drill/1","owner":{"operator":"a","source_host":"b","run":"c",'
        '"since":"d"},"inventory":"i","parts":["apiserver"],"on_production":false}\n'
        '{"type":"take","part":"apiserver","host":"h","reboots":false,"at":"x"}\n'
    )
    evidence = msgspec.json.decode((data / "evidence.json").read_bytes())
    evidence["hosts"] = dict(list(evidence["hosts"].items())[:1])
    first = next(iter(evidence["hosts"].values()))
    first["outputs"] = dict(list(first["outputs"].items())[:2])
    first["listed"] = dict(list(first["listed"].items())[:2])
    return {
        "plan": ("p.json", (folder / "p.json").read_text(), plan.load_plan),
        "journal": (
            journal.NAME,
            b"".join(line + b"\n" for line in lines).decode(),
            lambda path: journal.load_run(path.parent),
        ),
        "drill's journal": (drills.NAME, drill, lambda path: drills.load_drill(path.parent)),
        "evidence": (
            "evidence.json",
            msgspec.json.encode(evidence).decode(),
            evidence_file.load_evidence,
        ),
        "results": (
            "results.json",
            '{"schema":"hale.results/2","run":{},"hosts":[],"results":[],"readings":[],"texts":[]}',
            results_file.load_results,
        ),
        "inventory": ("inventory.ini", factories.INVENTORY, _inventory),
        "baseline": (
            "08-swap.toml",
            (ROOT / "standard/08-swap.toml").read_text(),
            lambda path: loader.load_standard(path.parent),
        ),
        "waivers": (
            waivers.NAME,
            text_of(),
            lambda path: waivers.parse_waivers(path, waivers.read_file(path), KNOWN, STANDARD),
        ),
        "accepted results": (accepted.NAME, _accepted(), accepted.load_accepted),
        "manifest": (manifest.NAME, _manifest(folder), _differences),
        "install plan": ("i.json", _install_plan(folder), saved_plan.load),
        "earlier results": ("results.json", _audited("a", "2026-01-01"), _proven_by),
        "site's YAML": (
            "network.yaml",
            f"{factories.NETWORK}---\nkind: List\nitems: [&a {{kind: x}}, *a]\n",
            lambda path: yaml_documents(path, path.read_bytes()),
        ),
    }


def _audited(boot: str, day: str) -> str:
    return results_file.encode_results(_audit(boot, day)).decode()


def _audit(boot: str, day: str) -> Results:
    """Of one host with a setting that passes, now and after its next boot."""
    required = {f.name: "" for f in msgspec.structs.fields(Run) if f.required}
    given = {"packages": {}, "command_line": [], "kind": "audit", "state": "finished"}
    host = HostRecord("h", machine_id="m", boot_id=boot, read_at=f"{day}T00:00:00.000Z")
    common = ("SYS-IP-FORWARD", "runtime", Verdict.PASS, 9, "", "", "", "", "", "", "")
    now = Result("h", *common)
    lines = [ConfigLineRecord("/etc/sysctl.d/k8s.conf", 1, "net.ipv4.ip_forward=1", True, 5.0)]
    then = msgspec.structs.replace(now, aspect="persisted", settings=lines)
    run = msgspec.convert(required | given, Run)
    return Results(results.SCHEMA, run, [host], [now, then], [])


def _proven_by(path: Path) -> object:
    """Whether an audit of a later boot takes this one for a proof."""
    earlier = path.parent / "earlier"
    earlier.mkdir(exist_ok=True)
    (earlier / path.name).write_bytes(path.read_bytes())
    mine = _audit("b", "2026-01-02")
    boots.mark_reboot_proven(mine, path.parent / "own")
    return mine.results[1].reboot_proven


def _inventory(path: Path) -> object:
    for name in ("key.asc", "network.yaml"):
        (path.parent / name).write_text("a: b\n")
    known = ini.load_inventory(path)
    return cluster_spec.read_cluster_spec(known.variables, path, ())


def _accepted() -> str:
    row = ComparedRow("h", "SYS-IP-FORWARD", "runtime", Verdict.PASS, "is 1", "1", "1")
    line = msgspec.json.encode(row) + b"\n"
    header = AcceptedRun(
        schema=accepted.SCHEMA,
        at="2026-01-01T00:00:00Z",
        by="me",
        run="audit",
        started="2026-01-01T00:00:00.000Z",
        profile="baseline",
        results_sha256="",
        inventory_sha256="",
        standard_sha256="",
        rows=1,
        rows_sha256=hashlib.sha256(line).hexdigest(),
    )
    return (msgspec.json.encode(header) + b"\n" + line).decode()


def _manifest(folder: Path) -> str:
    run = folder / "run"
    run.mkdir()
    (run / "back\\slash").write_text("")
    (run / "results.json").write_text("{}")
    manifest.write(run)
    return manifest.read(run).decode()


def _differences(path: Path) -> object:
    return manifest.differences(path.parent, manifest.read(path.parent))


def _install_plan(folder: Path) -> str:
    site = factories.made(folder)
    found = saved_plan.build(InstallOptions(folder, folder / "inventory.ini"), site, STANDARD, ())
    saved_plan.save(found, folder / "i.json")
    return (folder / "i.json").read_text()
