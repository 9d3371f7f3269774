"""docs/joined-hosts.md is true: it has every command that logs in, and every file that an install
writes."""

import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import tasks
from hale.install import scheduler
from hale.install.phase import WriteFile
from hale.model.errors import UserError
from hale.paths import ROOT
from remediate.cluster import packages, runtime
from tests.install import factories
from tests.install.test_phases import CASES, digests

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs/joined-hosts.md").read_text().splitlines()
    if line.startswith("| ")
][1:]
INSTALL = "`install`"


def _written(folder: Path) -> set[str]:
    """The paths of all files that the phases write in their cases."""
    found: set[str] = set()
    for number, case in enumerate(CASES):
        given = tomllib.loads(case.read_text())
        if "unreadable" in given or "raises" in given:
            continue
        place = folder / str(number)
        place.mkdir()
        extra = {"extra_yaml": given["extra"]} if "extra" in given else {}
        site = factories.made(place, given.get("inventory", ""), **extra)
        site = replace(site, current_group=given.get("part", ""))
        everywhere = given["outputs"].pop("*", {})
        outputs = {
            h.name: everywhere | given["outputs"].get(h.name, {}) for h in site.inventory.hosts
        }
        phase = scheduler.load_phase(case.parent.name)
        digests(outputs, sys.modules[type(phase).__module__], site, given.get("files", {}))
        observed = factories.observed(outputs, given.get("files", {}))
        try:
            batches = [*phase.prepare(site, observed), *phase.batches(site, observed)]
        except UserError:
            continue
        steps = (step for batch in batches for step in batch.steps)
        registry = runtime.hosts_toml(site)
        for path in (step.path for step in steps if isinstance(step, WriteFile)):
            found.add(path.replace(registry, "/etc/containerd/certs.d/REGISTRY/hosts.toml"))
    return found


def test_it_has_every_command_that_logs_in() -> None:
    logging_in = {
        name
        for name, task in tasks.namespace.tasks.items()
        if any("ask-become-pass" in argument.names for argument in task.get_arguments())
    }
    named = {word for row in ROWS for word in re.findall(r"`(\w+)[^`]*`", row[0])}
    assert named == logging_in | {"pytest"}


def test_it_has_every_file_that_an_install_writes(tmp_path: Path) -> None:
    (files,) = (row[1] for row in ROWS if row[0] == INSTALL)
    # No case installs with dnf.
    written = _written(tmp_path) | {packages.REPO, packages.DNF_KEY}
    assert set(re.findall(r"`(/etc/[^`]+)`", files)) == written
