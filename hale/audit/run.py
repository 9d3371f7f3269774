"""Runs an audit in this process: gathers, judges, and records the results.

An audit by pytest (hale/pytest_plugin) gathers and records by the same functions, and its items
call the same judge.
"""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hale.audit import evidence_file
from hale.audit.audit import Audit, hosts_in_evidence
from hale.audit.cases import coverage_gaps, overrides_sha256
from hale.audit.evidence_file import EvidenceFile
from hale.audit.guidance import guidance
from hale.audit.judge import require_checks
from hale.audit.notices import notices
from hale.audit.recorder import Recorder
from hale.audit.waivers import load_waivers
from hale.files import atomic, provenance
from hale.gather import Transport
from hale.inventory.ini import Inventory
from hale.inventory.selection import SelectedHost, select_hosts
from hale.model import results
from hale.model.errors import UserError
from hale.model.evidence import Evidence
from hale.model.lifetime import spelled
from hale.model.requirement import Case, current_profile
from hale.model.results import HostRecord, Results, Run
from hale.model.waiver import WaiverState
from hale.redact import redact
from hale.standard import loader
from hale.standard.loader import Standard


@dataclass(frozen=True)
class AuditRequest:
    """The inputs of an audit.

    hosts: a host pattern, as of `--hosts`. requirements: their IDs; empty for all of the profile.
    transport: returns the connection to a host. gather_timeout: seconds for all probes of a host.
    masters_suffice: whether a requirement that is read from all hosts is judged by what the masters
    answer where these do not include all others.
    """

    inventory: Inventory
    standard: Standard
    profile: str
    transport: Callable[[SelectedHost], Transport]
    hosts: str = "all"
    requirements: Collection[str] = ()
    gather_timeout: float = 60.0
    masters_suffice: bool = False


@dataclass(frozen=True)
class AuditResult:
    """A finished audit: its cases and evidence, the recorded results, and its folder."""

    audit: Audit
    results: Results
    folder: Path


def run(
    request: AuditRequest,
    folder: Path,
    on_answer: Callable[[Evidence], None] = lambda evidence: None,
) -> AuditResult:
    """Audit, and record results.json and evidence.json in `folder`, which exists.

    on_answer: called for each host once it has answered or is unreachable. Raises UserError for an
    invalid host pattern, override or check. If an exception ends the audit, cases without a verdict
    stay UNKNOWN in results.json, whose state is `interrupted`. What has arrived by then is saved
    and judged.
    """
    started = time.time()
    loader.check_overrides(request.standard, request.inventory)
    accepted = load_waivers(request.inventory, request.standard)
    revision = provenance.GitRevision()  # in the background
    require_checks(request.standard)
    audit = Audit(
        request.inventory,
        request.standard,
        request.profile,
        select_hosts(request.hosts, request.inventory, lambda uri: ()),
        request.transport,
        request.gather_timeout,
        accepted,
        masters_suffice=request.masters_suffice,
    )
    wanted = request.requirements
    selected = [c for c in audit.cases if not wanted or c.requirement.id in wanted]
    record = run_record(audit, revision, list(sys.argv), request.hosts, started)
    recorder = Recorder(folder / "results.json", record)
    recorder.begin(selected, audit.all_cases, [])

    def save() -> None:
        save_progress(audit, recorder, folder / "evidence.json")

    try:
        audit.gather(selected, on_answer, on_pause=save)
    except KeyboardInterrupt:
        save()
        raise
    evidence_file.save_evidence(evidence_of(audit), folder / "evidence.json")
    return _judged(audit, recorder, selected, folder)


def judge_saved(
    saved: EvidenceFile, path: Path, inventory: Inventory, standard: Standard, folder: Path
) -> AuditResult:
    """Judge saved evidence again, and record results.json in `folder`; contacts no host.

    path: of the evidence. Its hosts and profile are those of the run that gathered it. Raises
    UserError for an invalid override or check.
    """
    started = time.time()
    loader.check_overrides(standard, inventory)
    accepted = load_waivers(inventory, standard)
    revision = provenance.GitRevision()
    require_checks(standard)
    selected_hosts = hosts_in_evidence(saved, inventory)
    audit = Audit(
        inventory,
        standard,
        current_profile(saved.profile),
        selected_hosts,
        _no_transport,
        0.0,
        accepted,
        hosts=saved.hosts,
    )
    gathered_with_other = saved.inventory_sha256 != provenance.sha256(inventory.path)
    of = f" (gathered with another state of the inventory: {saved.inventory})"
    source = f"{path}{of if gathered_with_other else ''}"
    record = run_record(audit, revision, list(sys.argv), "", started, source)
    recorder = Recorder(folder / "results.json", record)
    recorder.begin(audit.cases, audit.all_cases, [])
    return _judged(audit, recorder, audit.cases, folder, keep=False)


def _no_transport(selected: SelectedHost) -> Transport:
    raise UserError(f"{selected.host.name}: saved evidence is judged without a connection.")


def _judged(
    audit: Audit,
    recorder: Recorder,
    selected: Sequence[Case[Any]],
    folder: Path,
    *,
    keep: bool = True,
) -> AuditResult:
    """Judge the cases by the evidence that is there, and end the run.

    keep: the facts, and what was understood of each host; a fleet's take hundreds of MiB.
    """
    recorder.results.hosts = host_records(audit)
    failed = False
    by_host: dict[str, list[Case[Any]]] = {}
    for case in selected:
        by_host.setdefault(case.host_name, []).append(case)
    for host, cases in by_host.items():
        for case in cases:
            result = audit.judge(case).result
            recorder.record(result, save=keep)  # what is not kept can be judged again
            failed = failed or result.verdict.failed
        if not keep:
            audit.forget(host, cases)
    audited = [s.host.name for s in audit.selected_hosts]
    gaps = coverage_gaps(audit.inventory, audited, audit.all_cases, selected, recorder.unjudged)
    recorder.results.waivers = waiver_states(audit, recorder)
    recorder.results.guidance = guidance(selected, recorder.judged)
    recorder.results.notices = notices(audit, selected)
    recorder.end(1 if failed else 0, gaps)
    return AuditResult(audit, recorder.results, folder)


def waiver_states(audit: Audit, recorder: Recorder) -> list[WaiverState]:
    """What became of the site's waivers, by the rows that were judged."""
    return audit.waivers.states(audit.all_cases, recorder.judged)


def save_progress(
    audit: Audit,
    recorder: Recorder,
    evidence: Path,
    write: Callable[..., None] = atomic.write,
) -> None:
    """Save what has arrived and was judged so far, whatever becomes of the hosts still waited for.

    evidence: the path of evidence.json.
    """
    if audit.hosts:
        evidence_file.save_evidence(evidence_of(audit), evidence, write)
    recorder.results.hosts = host_records(audit)
    for judged in list(audit.judged.values()):
        recorder.record(judged.result)
    recorder.save()


def run_record(
    audit: Audit,
    revision: provenance.GitRevision,
    command_line: Sequence[str],
    hosts: str,
    started: float,
    evidence_from: str = "",
    metadata: Mapping[str, str] = MappingProxyType({}),
) -> Run:
    """The provenance of the run: operator and inputs. started: seconds since the epoch."""
    path = audit.inventory.path
    return Run(
        kind="audit",
        state="interrupted",  # until the end
        operator=provenance.operator(),
        source_host=provenance.control_host(),
        version=provenance.version(),
        git_revision=str(revision),
        packages=provenance.packages(),
        python=sys.version.split()[0],
        command_line=list(command_line),
        inventory=str(path),
        site=audit.inventory.environment,
        inventory_sha256=provenance.sha256(path),
        standard_sha256=audit.standard.sha256,
        overrides_sha256=overrides_sha256(audit.cases),
        profile=audit.profile,
        hosts_expression=hosts,
        started=results.utc(started),
        evidence_from=evidence_from,
        metadata=dict(metadata),
        cluster=audit.inventory.cluster.name,
        purpose=redact(audit.inventory.purpose),
    )


def evidence_of(audit: Audit) -> EvidenceFile:
    """The evidence of all hosts, ready to save."""
    path = audit.inventory.path
    return EvidenceFile(
        evidence_file.SCHEMA,
        str(path.resolve()),
        provenance.sha256(path),
        audit.profile,
        dict(audit.hosts),
        {s.host.name: redact(s.uri) for s in audit.selected_hosts if s.uri},
    )


def host_records(audit: Audit) -> list[HostRecord]:
    """The machine behind each host name."""
    return [_host_record(audit, name) for name in audit.hosts]


def _host_record(audit: Audit, name: str) -> HostRecord:
    evidence = audit.hosts[name]
    record = HostRecord(
        name,
        address=evidence.address,
        transport=evidence.transport,
        login_user=evidence.login_user,
        host_key=evidence.host_key,
        read_at=results.utc(evidence.read_at),
        down=evidence.unreachable,
        kubernetes=spelled(audit.kubelet_version(name)),
        groups=[g for g, names in audit.inventory.groups.items() if g != "all" and name in names],
    )
    if evidence.unreachable:
        return record
    try:
        identity = audit.identity(name)
        record.effective_user = identity.effective_user or ""
        record.machine_id = identity.machine_id or ""
        record.boot_id = identity.boot_id or ""
        since = identity.boot_time or 0.0
        since = since if 0 < since < 1e11 else 0.0  # implausible: unknown
        record.booted_at = results.utc(since)
        record.os = identity.os or ""
        record.kernel = identity.kernel or ""
    except Exception:  # a host with garbled output must not end the run; its results are UNKNOWN
        pass
    return record
