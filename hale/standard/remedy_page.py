"""remediate/<subject>.md: how a person fixes what no change of Hale's does.

One Jinja page for two readers. Its text is the section "Manual steps" of docs/requirements,
rendered with the requirement's parameters. Its macros `fix_<aspect>()` are the manual steps of
`invoke fix`, rendered with the fact as well: one step a paragraph, and only the page can begin
a paragraph, because line breaks in a host's values become spaces.
"""

import importlib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from hale.files.template_cache import bytecode_cache
from hale.inventory.ini import OVERRIDE_PREFIX
from hale.model.change import ManualStep
from hale.model.evidence import Fact
from hale.model.requirement import Case
from hale.paths import ROOT

FOLDER = ROOT / "remediate"


def manual_steps(case: Case[Any], fact: Fact) -> tuple[ManualStep, ...] | None:
    """The steps for a person on this host; None where the page has none for this aspect.

    Raises jinja2.UndefinedError for a page that uses a value that the fact does not have.
    """
    page = _page(_steps_environment(), case.requirement.subject)
    if page is None:
        return None
    module = page.make_module({**_context(case), "fact": fact})
    macro = getattr(module, f"fix_{case.aspect}", None)
    if macro is None:
        return None
    paragraphs = re.split(r"\n\s*\n", macro())
    return tuple(ManualStep(" ".join(p.split())) for p in paragraphs if p.strip())


def fixed_aspects(subject: str, aspects: Iterable[str]) -> tuple[str, ...]:
    """Those of the aspects that `invoke fix` has a change for: remediate/<subject>.py."""
    if not (FOLDER / f"{subject}.py").exists():
        return ()
    module = importlib.import_module(f"{FOLDER.name}.{subject}")
    return tuple(aspect for aspect in aspects if hasattr(module, f"fix_{aspect}"))


def manual_aspects(case: Case[Any]) -> tuple[str, ...]:
    """The requirement's aspects that the page has manual steps for."""
    page = _page(_steps_environment(), case.requirement.subject)
    module = page.make_module(_context(case)) if page else None
    return tuple(a for a in case.requirement.aspects if hasattr(module, f"fix_{a}"))


def instructions(case: Case[Any], host: str = "") -> str:
    """The page's own text, for people; empty where there is no page.

    host: what stands for the host's name, if the text is for several.
    """
    page = _page(_text_environment(), case.requirement.subject)
    given = _context(case) | ({"host": host} if host else {})
    return page.render(given).strip() if page else ""


def _context(case: Case[Any]) -> dict[str, Any]:
    endpoint = case.inventory.endpoint
    requirement = case.requirement
    return {
        **msgspec.structs.asdict(case.parameters),
        "parameters": case.parameters,
        "id": requirement.id,
        "aspects": list(requirement.aspects),
        "role": requirement.role,
        "host": case.host_name,
        "inventory": case.inventory.path,
        "override": f"{OVERRIDE_PREFIX}{requirement.id.lower().replace('-', '_')}__",
        "endpoint": endpoint.kind,
        "vip": endpoint.vip,
        "vip_port": endpoint.port,
        "vip_names": endpoint.names,
    }


def _page(environment: Environment, subject: str) -> Template | None:
    name = f"{subject}.md"
    return environment.get_template(name) if (FOLDER / name).exists() else None


@cache
def _text_environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        bytecode_cache=bytecode_cache(),
    )


@cache
def _steps_environment() -> Environment:
    return _text_environment().overlay(finalize=_on_one_line, bytecode_cache=None)


def _on_one_line(value: Any) -> str:
    return " ".join(str(value).split())
