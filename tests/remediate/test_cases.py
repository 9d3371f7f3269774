"""Every remedy on recorded hosts: what it changes, and that the host then passes.

tests/remediate/<subject>/<what-it-shows>.toml is a case of ../facts/test_cases.py (verdict
FAIL) and what the remedy does to it:

    [after."/etc/x.conf"]            # every file that a change makes or edits, as it is then
    text = "a = 1\\n"                 # or: target = "/dev/null"
    does = ["load br_netfilter"]     # all other changes, as `said` has them
    by_hand = ["kernel argument"]    # parts of the manual steps' texts, one each
    why = ["/etc/x.conf:3"]          # parts that some reason must have
    effects = ["NEEDS_REBOOT"]             # all that the changes cost

The property holds for these and for all FAIL cases of ../facts whose subject has a remedy: the
changes are applied to the case's own files, the fact is read again, and its verdict is PASS;
or there is a manual step, and a second remedy has nothing but manual steps. Cases of ../facts that
end so are listed in <subject>/by_hand.txt, `<case>: <part of the text>`, no more and no fewer.
A runtime remedy may be empty where `persisted` fails on the same files and its remedy mends it.

What a change does to answers that are not files (a stopped unit, a loaded module) is said by
<subject>/host.py, `after(host: GivenHost, change: Change) -> GivenHost`.
"""

import importlib
import importlib.util
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import msgspec
import pytest

from facts.parsers import conf_dirs, systemd_units
from hale.apply.handlers import handler_of
from hale.model.change import (
    FileEdit,
    KernelValueChange,
    ManualStep,
    ModuleChange,
    Remedy,
    ReplaceLine,
    SwapOff,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.evidence import CommandProbe, FileProbe, Unreadable, matches
from hale.plan import plan
from hale.standard.subjects import load_subject
from tests.facts import test_cases as facts_cases
from tests.facts.test_cases import Given, GivenFile, GivenHost

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BY_HAND = "by_hand.txt"


class Wanted(Given, kw_only=True, forbid_unknown_fields=True):
    after: dict[str, GivenFile] = msgspec.field(default_factory=dict)
    does: list[str] = msgspec.field(default_factory=list)
    by_hand: list[str] = msgspec.field(default_factory=list)
    why: list[str] = msgspec.field(default_factory=list)
    effects: list[str] = msgspec.field(default_factory=list)


@cache
def has_remedy(subject: str, aspect: str) -> bool:
    """Whether its module computes changes, or its page has manual steps."""
    if importlib.util.find_spec(f"remediate.{subject}"):
        return hasattr(importlib.import_module(f"remediate.{subject}"), f"fix_{aspect}")
    page = ROOT / "remediate" / f"{subject}.md"
    return page.exists() and f"{{% macro fix_{aspect}() %}}" in page.read_text()


def failing() -> Iterable[Path]:
    """The FAIL cases of ../facts whose aspect has a remedy."""
    for path in facts_cases.CASES:
        given = msgspec.toml.decode(path.read_bytes(), type=Given)
        if given.verdict == "FAIL" and has_remedy(path.parent.name, given.aspect):
            yield path


OWN = sorted(HERE.glob("*/*.toml"))
FAILING = list(failing())


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", OWN, ids=named)
def test_remedy(path: Path) -> None:
    wanted = msgspec.toml.decode(path.read_bytes(), type=Wanted)
    assert wanted.verdict == "FAIL", "a remedy is asked for FAIL only"
    changes = remedy(wanted, path.parent.name)
    hands = [change.instructions for change in changes if isinstance(change, ManualStep)]
    assert len(hands) == len(wanted.by_hand), hands
    for part, hand in zip(wanted.by_hand, hands, strict=True):
        assert part in hand
    others = [c for c in changes if not isinstance(c, ManualStep | FileEdit | SymlinkChange)]
    assert [described(change) for change in others] == wanted.does
    touched = {c.path for c in changes if isinstance(c, FileEdit | SymlinkChange)}
    assert touched == set(wanted.after)
    after = applied(wanted, changes, path.parent.name)
    for name, file in wanted.after.items():
        if file.target is not None:
            assert after.files[name].target == file.target
        else:
            assert after.files[name].text == file.text
    reasons = [c.reason for c in changes if not isinstance(c, ManualStep)]
    for part in wanted.why:
        assert any(part in reason for reason in reasons), reasons
    costs = {e.name for c in changes if not isinstance(c, ManualStep) for e in c.effects}
    assert costs == set(wanted.effects)
    mends(wanted, changes, path.parent.name)


@pytest.mark.parametrize("path", FAILING, ids=named)
def test_the_host_passes_then(path: Path) -> None:
    given = msgspec.toml.decode(path.read_bytes(), type=Given)
    subject = path.parent.name
    changes = remedy(given, subject)
    listed = listed_by_hand(subject)
    hands = [change.instructions for change in changes if isinstance(change, ManualStep)]
    if hands:
        assert path.stem in listed, f"ends in ByHand and is not in {BY_HAND}: {hands}"
        assert any(listed[path.stem] in hand for hand in hands), hands
    else:
        assert path.stem not in listed, f"{BY_HAND} has it, but it is mended"
    mends(given, changes, subject)


def test_the_lists_name_cases_that_are_there() -> None:
    cases = {named(path) for path in FAILING}
    for file in HERE.glob(f"*/{BY_HAND}"):
        assert {f"{file.parent.name}/{name}" for name in listed_by_hand(file.parent.name)} <= cases


@cache
def listed_by_hand(subject: str) -> dict[str, str]:
    file = HERE / subject / BY_HAND
    lines = file.read_text().splitlines() if file.exists() else []
    pairs = (line.partition(": ") for line in lines if line.strip())
    return {name: part for name, _, part in pairs}


def mends(given: Given, changes: Sequence[Remedy], subject: str) -> None:
    """Once is enough: the host passes, or what is left is for a person."""
    after = applied(given, changes, subject)
    requirement = facts_cases.requirement_named(given.requirement)
    for change in changes:
        if isinstance(change, ManualStep):
            assert change.instructions.strip()
        else:
            assert change.reason.strip(), f"no reason: {change}"
    fact = facts_cases.read(after, requirement)
    verdict = facts_cases.judge(after, requirement, fact)
    if verdict == "PASS":
        return
    if not changes and given.aspect == "runtime":
        assert mended_by_persisted(given, subject), f"no change and no word: {fact.actual}"
        return
    remaining = remedy(after, subject)
    assert any(isinstance(change, ManualStep) for change in changes), (
        f"still {verdict}: {fact.actual}; and then {remaining}"
    )
    assert remaining, f"{verdict} and nothing said: {fact.actual}"
    assert all(isinstance(change, ManualStep) for change in remaining), (
        f"a second time changes: {remaining}"
    )


def mended_by_persisted(given: Given, subject: str) -> bool:
    """Whether the other aspect fails too, and has a remedy for it."""
    requirement = facts_cases.requirement_named(given.requirement)
    other = msgspec.structs.replace(given, aspect="persisted")
    case = facts_cases.case_of(other, requirement)
    assert case.host is not None
    probes = list(load_subject(subject).probes(case.host, [case]))
    names = {probe.name for probe in probes if isinstance(probe, CommandProbe)}
    other.outputs = {name: out for name, out in given.outputs.items() if name in names}
    try:
        fact = facts_cases.read(other, requirement)
    except Unreadable as error:
        raise AssertionError(f"`persisted` could not be read: {error}") from error
    return facts_cases.judge(other, requirement, fact) == "FAIL" and bool(remedy(other, subject))


def remedy(given: Given, subject: str) -> tuple[Remedy, ...]:
    requirement = facts_cases.requirement_named(given.requirement)
    fact = facts_cases.read(given, requirement)
    assert facts_cases.judge(given, requirement, fact) == "FAIL", fact.actual
    case = facts_cases.case_of(given, requirement)
    assert has_remedy(subject, given.aspect)
    changes = plan.plan_remedy(case, fact)
    assert isinstance(changes, tuple)
    return changes


def described(change: Remedy) -> str:
    """A change that is no file, in one line."""
    match change:
        case KernelValueChange():
            kept = f", keeping {' '.join(change.preserve)}" if change.preserve else ""
            led = f", which leads {' '.join(change.cascades_to)}" if change.cascades_to else ""
            return (
                f"write {change.value} to {change.path}, which is {change.precondition}{kept}{led}"
            )
        case UnitChange():
            return f"{change.action} {change.unit}"
        case SwapOff():
            return f"swapoff {change.device} with {change.used_kib} KiB"
        case ModuleChange():
            return f"load {change.name}"
        case _:
            return str(change)


def applied(given: Given, changes: Iterable[Remedy], subject: str) -> Given:
    """The case as it is after the changes. Raises PreconditionFailed where a line is another."""
    host: GivenHost = given
    more = None
    if (HERE / subject / "host.py").exists():
        more = importlib.import_module(f"tests.remediate.{subject}.host").after
    for change in changes:
        host = changed(host, change)
        if more:
            host = more(host, change)
    files = {
        path: msgspec.structs.replace(file, ignored=not _asked(given, subject, path))
        for path, file in host.files.items()
    }
    return msgspec.structs.replace(given, files=files, outputs=host.outputs)


def changed(host: GivenHost, change: Remedy) -> GivenHost:
    """The host's files after one change.

    Files are edited by the handler that edits them on a host. The other kinds are scripts that act
    on a kernel or systemd: this is a model of their effect, which tests/apply has on real hosts.
    """
    files = dict(host.files)
    match change:
        case FileEdit():
            _write(files, change)
        case SymlinkChange():
            there = files.get(change.path)
            assert (there.target if there else None) == change.precondition, (
                f"{change} meets {there}"
            )
            assert there is None or there.target is not None, f"{change.path} is no link"
            if change.target is None:
                del files[change.path]
            else:
                files[change.path] = _link(files, change.path, change.target)
        case KernelValueChange():
            assert files[change.path].text.strip() == change.precondition, change
            files[change.path] = GivenFile(text=change.value + "\n")
        case UnitChange(action=UnitAction.DISABLE):
            patterns = [
                f"/etc/systemd/system/*.{kind}/{change.unit}" for kind in systemd_units.PULLS
            ]
            files = {p: f for p, f in files.items() if not any(matches(p, x) for x in patterns)}
        case SwapOff():
            kept = [
                line
                for line in files["/proc/swaps"].text.splitlines()
                if line.split()[0].replace("\\040", " ") != change.device
            ]
            files["/proc/swaps"] = GivenFile(text="\n".join(kept) + "\n")
        case ModuleChange():
            old = files.get("/proc/modules", GivenFile())
            text = f"{old.text}{change.name} 36864 0 - Live 0x0000000000000000\n"
            files["/proc/modules"] = GivenFile(text=text)
        case _:
            pass
    return msgspec.structs.replace(host, files=files)


def _write(files: dict[str, GivenFile], change: FileEdit) -> None:
    """Links are followed: all paths that lead to the file have its new text."""
    there = files.get(change.path)
    assert there is None or (there.kind == "f" and not there.trouble), f"{change} meets {there}"
    assert not change.path.startswith(("/usr/", "/lib/", "/run/", "/proc/")), change.path
    assert change.edits, f"{change.path}: no edit"
    old = there.text if there else ""
    new = handler_of(change).new_content(change, old.encode() if there else None).decode()
    _unconcerned(old, new, change)
    real = _leads_to(change.path, there)
    files.setdefault(real, GivenFile())
    for path, file in list(files.items()):
        if _leads_to(path, file) == real and file.kind == "f":
            files[path] = msgspec.structs.replace(file, text=new)


def _unconcerned(old: str, new: str, change: FileEdit) -> None:
    """Lines that no edit names stay, in their order, to the byte."""
    replaced = {e.line: e.new.count("\n") + 1 for e in change.edits if isinstance(e, ReplaceLine)}
    before, now = old.split("\n"), new.split("\n")
    for count, line in enumerate(before, 1):
        mine, now = now[: replaced.get(count, 1)], now[replaced.get(count, 1) :]
        if count not in replaced and (line or count < len(before)):
            assert mine == [line], f"{change.path}:{count} is changed and no edit says so"


def _leads_to(path: str, file: GivenFile | None) -> str:
    return conf_dirs.leads_to(facts_cases.file_of(path, file)) if file else path


def _link(files: dict[str, GivenFile], path: str, target: str) -> GivenFile:
    link = GivenFile(kind="l", target=target)
    there = files.get(_leads_to(path, link))
    return GivenFile(text=there.text, target=target) if there and there.kind == "f" else link


def _asked(given: Given, subject: str, path: str) -> bool:
    """Whether the fact's probes read this path."""
    case = facts_cases.case_of(given, facts_cases.requirement_named(given.requirement))
    assert case.host is not None
    probes = load_subject(subject).probes(case.host, [case])
    patterns = [p for probe in probes if isinstance(probe, FileProbe) for p in probe.patterns]
    return any(matches(path, pattern) for pattern in patterns)
