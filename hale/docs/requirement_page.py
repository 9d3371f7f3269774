"""A requirement's page: what must be true, how it is read, what fixes it, and how by hand.

Nothing is written twice: the page is generated from standard/, from the probes and docstrings of
facts/<subject>.py, and from what remediate/<subject>.py declares. Only the manual instructions are
written by hand, in remediate/<subject>.md, with the baseline's values as variables.

`python -m hale.docs.requirement_page` writes docs/requirements/; with `--check` it names the
pages that are out of date.
"""

import difflib
import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hale.audit import cases as audit_cases
from hale.audit.versions import product_name
from hale.files import atomic
from hale.gather.request import joined_searches
from hale.inventory import ini
from hale.inventory.ini import Inventory
from hale.model.change import Action, Impact
from hale.model.errors import UserError
from hale.model.evidence import CommandProbe, FileProbe
from hale.model.lifetime import spelled
from hale.model.requirement import Case, Requirement
from hale.paths import ROOT
from hale.plan import plan
from hale.standard import loader, remedy_page, subjects
from hale.standard.loader import Standard

PAGES = ROOT / "docs" / "requirements"
INDEX = "README.md"


class RemedyDoc(msgspec.Struct, frozen=True):
    """What `invoke fix` does: its changes by aspect, their kinds and impacts; or manual steps."""

    description: str = ""
    aspects: Mapping[str, str] = {}
    kinds: tuple[str, ...] = ()
    impacts: tuple[str, ...] = ()
    manual: bool = False


class FileSet(msgspec.Struct, frozen=True):
    """Files of these names, or patterns of names, in each of these folders."""

    names: tuple[str, ...]
    folders: tuple[str, ...]


class ParameterDoc(msgspec.Struct, frozen=True):
    """A parameter, its value as TOML's, and the inventory's variable that replaces it."""

    name: str
    value: str
    variable: str


class LifetimeDoc(msgspec.Struct, frozen=True):
    """The versions that have the requirement or a value; empty where there is no such limit."""

    what: str
    product: str
    since: str
    deprecated: str
    disabled: str
    until: str
    tested: str
    source: str


@cache
def _load() -> tuple[Standard, Inventory]:
    return loader.load_standard(ROOT / "standard"), ini.load_inventory(ROOT / "inventory.ini")


def page(name: str) -> str:
    """The page of that requirement, as Markdown. Raises UserError if there is none."""
    stated, known = _load()
    found = next((r for r in stated.requirements if r.id == name.upper()), None)
    if found is None:
        close = difflib.get_close_matches(name.upper(), [r.id for r in stated.requirements], 1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no requirement {name!r}.{hint} docs/requirements/ lists all.")
    return _page(found, known)


def pages() -> dict[str, str]:
    """Every page by its file name, and the index."""
    stated, known = _load()
    index = _templates().get_template("index.md.jinja2")
    made = {f"{r.id}.md": _page(r, known) for r in stated.requirements}
    return {INDEX: index.render(requirements=stated.requirements), **made}


def _page(requirement: Requirement, known: Inventory) -> str:
    concerned = known.groups.get(requirement.role, ())
    hosts = [h for h in known.hosts if h.name in concerned] or known.hosts
    cases = audit_cases.build_cases(known, _only(requirement), requirement.profile, hosts)
    subject: Any = subjects.load_subject(requirement.subject)
    one: dict[str, Case[Any]] = {}
    for case in cases:
        one.setdefault(case.aspect, case)
    files, commands = _read(subject, known, cases)
    template = _templates().get_template("requirement.md.jinja2")
    return template.render(
        requirement=requirement,
        file=Path(requirement.where.file).name,
        aspects={aspect: case.expected for aspect, case in one.items()},
        shown_for=next(iter(one.values())).host,
        how=_docstring(subject),
        read_docs={
            a: _docstring(read) for a in one if (read := subjects.reader(requirement.subject, a))
        },
        files=_group_by_folder(files),
        commands=commands,
        remedy=_remedy(next(iter(one.values()))),
        by_hand=remedy_page.instructions(next(iter(one.values()))),
        values=_values(requirement),
        lifetimes=_lifetimes(requirement),
    )


def _only(requirement: Requirement) -> Standard:
    return Standard(ROOT / "standard", (requirement,), "")


def _docstring(thing: Any) -> str:
    """A docstring, in the words of verdicts."""
    text = inspect.getdoc(thing) or ""
    text = re.sub(r"\s*Raises \w+(, \w+)*\.", "", text)
    text = re.sub(r"Raises Unreadable", "UNKNOWN", text)
    return re.sub(r"\b(Raises )?NotApplicable", "N-A", text).strip()


def _read(
    subject: Any, known: Inventory, cases: Iterable[Case[Any]]
) -> tuple[list[str], list[CommandProbe]]:
    """Files and commands that it reads on the hosts of the example inventory."""
    files: dict[str, None] = {}
    commands: dict[str, CommandProbe] = {}
    for host in known.hosts:
        own = [case for case in cases if case.host in (host, None)]
        for probe in subject.probes(host, own) if own else ():
            if isinstance(probe, FileProbe):
                files |= dict.fromkeys(probe.patterns)
            else:
                commands.setdefault(probe.name, probe)
    return list(files), [command for _, command in joined_searches(commands)]


def _group_by_folder(patterns: Iterable[str]) -> list[FileSet]:
    """Group names that are searched for in the same folders."""
    folders: dict[str, list[str]] = {}
    for pattern in patterns:
        folder, _, name = pattern.rpartition("/")
        folders.setdefault(name, []).append(folder)
    names: dict[tuple[str, ...], list[str]] = {}
    for name, found in folders.items():
        names.setdefault(tuple(found), []).append(name)
    return [FileSet(tuple(found), where) for where, found in names.items()]


def _remedy(case: Case[Any]) -> RemedyDoc:
    """From what the module declares; its tests hold it to what its cases produce."""
    requirement = case.requirement
    name = f"{plan.PACKAGE}.{requirement.subject}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return RemedyDoc(manual=bool(remedy_page.manual_aspects(case)))
    fixes: dict[str, str] = {
        aspect.value: _docstring(getattr(module, f"fix_{aspect}"))
        for aspect in requirement.aspects
        if hasattr(module, f"fix_{aspect}")
    }
    kinds = tuple(kind.summary for kind in get_args(Action) if kind in module.KINDS)
    impacts = tuple(impact.value for impact in Impact if impact in module.IMPACTS)
    return RemedyDoc(_docstring(module), fixes, kinds, impacts)


def _values(requirement: Requirement) -> list[ParameterDoc]:
    found = []
    for name, value in msgspec.structs.asdict(requirement.parameters).items():
        text = json.dumps(value, ensure_ascii=False)
        found.append(ParameterDoc(name, text, loader.override_variable(requirement, name)))
    return found


def _lifetimes(requirement: Requirement) -> list[LifetimeDoc]:
    own = [("the requirement", lifetime, "") for lifetime in requirement.lifetimes]
    values = [
        (f"{v.parameter} `{v.value}`", v.lifetime, v.tested.value if v.tested else "")
        for v in requirement.values
    ]
    return [
        LifetimeDoc(
            what,
            product_name(found.product),
            spelled(found.since or ()),
            spelled(found.deprecated or ()),
            spelled(found.disabled or ()),
            spelled(found.until or ()),
            tested,
            found.source,
        )
        for what, found, tested in (*own, *values)
    ]


@cache
def _templates() -> Environment:
    return _environment(Path(__file__).parent)


def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


# --- docs/requirements ---


def outdated(folder: Path = PAGES) -> list[str]:
    """Names of pages that are missing, other than they would be made now, or of no requirement."""
    made = pages()
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    return sorted(n for n in made.keys() | there.keys() if made.get(n) != there.get(n))


def write(folder: Path = PAGES) -> list[str]:
    """Write outdated pages, remove those of no requirement; returns their names."""
    folder.mkdir(parents=True, exist_ok=True)
    made, old = pages(), outdated(folder)
    for name in old:
        if name in made:
            atomic.write(folder / name, made[name].encode(), mode=0o644)
        else:
            (folder / name).unlink()
    return old


def main(words: list[str]) -> int:
    """`--check`: exit status 1 where a page is not current. Without: write them."""
    if words not in ([], ["--check"]):
        print("usage: python -m hale.docs.requirement_page [--check]", file=sys.stderr)
        return 2
    old = outdated() if words else write()
    if words and old:
        print(f"docs/requirements is not current: {', '.join(old)}. Say `make docs`, commit it.")
    return 1 if words and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
