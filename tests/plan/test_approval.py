"""The approver's signature on a saved plan, of a fix and of an install: no host is contacted."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hale.apply import change_page as fix_page
from hale.apply import journal, run_journals
from hale.apply import workflow as fixes
from hale.apply.journal import Journal
from hale.apply.options import ApplyOptions
from hale.audit import recorder
from hale.cli import approve
from hale.files import provenance
from hale.install import change_page as install_page
from hale.install import reset, saved_plan
from hale.install import workflow as installs
from hale.install.cluster_context import load_context
from hale.install.install_run import InstallRun
from hale.install.options import InstallOptions
from hale.install.phase import PhaseProblem
from hale.install.planning import PhaseStatus
from hale.inventory import ini
from hale.model.errors import UserError
from hale.paths import ROOT
from hale.plan import approval, plan
from hale.plan import change_page as plan_page
from hale.plan.approval import PlanOrigin
from hale.plan.plan import HostPlan, Plan
from hale.report.change import page
from hale.report.change.model import ChangeReport, Operation, SignatureCheck
from hale.standard import loader
from hale.standard.loader import Standard
from tests.install import factories

AUTHOR, APPROVER = "alice", "bob@example.org"
INVOKE = str(Path(sys.executable).parent / "invoke")
REMAINING = [PhaseStatus("packages", "P", (PhaseProblem("not there", "w1"),), (), ("w1: run",))]


class Begun(Exception):
    """The run has begun: the next thing would be a login to its hosts."""


@dataclass
class Site:
    """A saved plan of alice, and what a run of it gets."""

    kind: Operation
    inventory: Path
    saved: Path
    origins: list[PlanOrigin]

    @property
    def signed(self) -> Path:
        return self.saved.with_name(f"{self.saved.name}.sig")

    @property
    def allowed(self) -> Path:
        return self.inventory.with_name("allowed_signers")

    def plan_again(self, ticket: str = "") -> None:
        """Save a plan of the inventory as it is now; ticket: what makes it another one."""
        known = ini.load_inventory(self.inventory)
        standard = loader.load_standard(ROOT / "standard")
        if self.kind is Operation.FIX:
            hosts = (HostPlan("m1", f"m{ticket}", (), (), ()),)
            digests = known.sha256, standard.sha256
            of = AUTHOR, "2026-01-01", str(self.inventory)
            made = Plan(plan.SCHEMA, *of, *digests, "baseline", hosts)
            plan.save_plan(plan.with_checksum(made), self.saved)
        else:
            context = load_context(known, standard)
            options = InstallOptions(self.inventory.parent, self.inventory, until=ticket)
            saved_plan.save(saved_plan.build(options, context, standard, REMAINING), self.saved)

    def demand(self) -> None:
        """The inventory requires a signed plan; the plan is made for it."""
        with self.inventory.open("a") as file:
            file.write("hale_approvals=signed\n")
        self.plan_again()

    def allow(self, key: Path, name: str = APPROVER, options: str = "") -> None:
        public = key.with_name(f"{key.name}.pub").read_text()
        self.allowed.write_text(f"{name} {options}{public}")

    def sign(self, key: Path, namespace: str = "hale-plan") -> None:
        """As ssh-keygen does, without what `invoke approve` checks."""
        self.signed.unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", str(key)]
        subprocess.run([*command, str(self.saved)], check=True, capture_output=True)

    def apply(self, saved: Path | None, **options: Any) -> PlanOrigin:
        """Carry it out up to the first login. Raises UserError where it is refused."""
        reports = self.inventory.parent / "reports"
        if saved is None:
            options["inventory"] = self.inventory
        with contextlib.suppress(Begun):
            if self.kind is Operation.FIX:
                fixes.apply_fix(ApplyOptions(reports, **options), (), saved)
            else:
                installs.install_cluster(InstallOptions(reports, apply=saved, **options))
        return self.origins.pop()


@pytest.fixture(scope="module")
def standard() -> Standard:
    return loader.load_standard(ROOT / "standard")


@pytest.fixture(params=[Operation.FIX, Operation.INSTALL])
def site(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    standard: Standard,
    monkeypatch: pytest.MonkeyPatch,
) -> Site:
    factories.made(tmp_path)
    made = Site(request.param, tmp_path / "inventory.ini", tmp_path / "plan.json", [])
    monkeypatch.setattr(provenance, "operator", lambda: AUTHOR)
    monkeypatch.delenv("HALE_SIGN_KEY", raising=False)
    # These are read again and again, and are the same.
    monkeypatch.setattr(loader, "load_standard", lambda _: standard)
    monkeypatch.setattr(provenance, "program_sha256", lambda: "1" * 64)
    made.plan_again()

    def begin_fix(options: object, only: object, plan: object, origin: PlanOrigin, *_: Any) -> None:
        made.origins.append(origin)
        raise Begun

    def begin_install(run: InstallRun, *_: Any) -> None:
        made.origins.append(run.options.origin)
        raise Begun

    monkeypatch.setattr(fixes, "_fix", begin_fix)
    monkeypatch.setattr(installs, "check_reachable", lambda _: None)
    monkeypatch.setattr(installs, "_install", begin_install)
    return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    found = {name: folder / name for name in ("bob", "mallory")}
    for path in found.values():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(command, check=True)
    return found


def refused(site: Site, saved: Path | None) -> str:
    """Why the plan is not carried out; nothing has begun."""
    with pytest.raises(UserError) as error:
        site.apply(saved)
    assert not site.origins
    assert not (site.inventory.parent / "reports").exists()
    return str(error.value)


# --- good ones ---


@pytest.mark.parametrize("demanded", [False, True])
def test_a_plan_that_its_approver_signed(site: Site, keys: dict[str, Path], demanded: bool) -> None:
    if demanded:
        site.demand()
    site.allow(keys["bob"], options='namespaces="hale-plan" ')
    text = approve.approve(site.saved, str(keys["bob"]), None)
    assert f"\nby {AUTHOR}, " in text
    assert f"\napproved: signed by {APPROVER} (ED25519 key SHA256:" in text
    assert approve.verify(site.saved, None)[1] == 0
    origin = site.apply(site.saved)
    assert (origin.check, origin.signer) == (SignatureCheck.VERIFIED, APPROVER)
    assert origin.key.startswith("ED25519 key SHA256:")
    assert (origin.plan, origin.raw) == (site.saved.read_bytes(), site.signed.read_bytes())
    by_hand = ["ssh-keygen", "-Y", "verify", "-f", str(site.allowed), "-n", "hale-plan"]
    by_hand += ["-I", APPROVER, "-s", str(site.signed)]
    subprocess.run(by_hand, input=site.saved.read_bytes(), check=True, capture_output=True)


def test_a_site_that_requires_no_signature(site: Site, keys: dict[str, Path]) -> None:
    assert site.apply(None).check is SignatureCheck.UNRECORDED
    assert site.apply(site.saved).check is SignatureCheck.NOT_SIGNED
    assert "KEY NOT KNOWN: " in approve.approve(site.saved, str(keys["bob"]), None)
    unknown = site.apply(site.saved)
    assert (unknown.check, unknown.signer) == (SignatureCheck.NOT_VERIFIED, "")


# --- what proves nothing ---


def other_key(site: Site, keys: dict[str, Path]) -> None:
    site.sign(keys["mallory"])


def other_plan(site: Site, keys: dict[str, Path]) -> None:
    site.plan_again("init")
    site.sign(keys["bob"])
    site.plan_again()


def other_byte(site: Site, keys: dict[str, Path]) -> None:
    site.sign(keys["bob"])
    raw = site.saved.read_bytes()
    digest = msgspec.json.decode(raw)["sha256"]
    text = raw.replace(b'"author": "alice"', b'"author": "eve"')
    assert text != raw
    # Eve computes its SHA-256 again, so that the file is as it would be of hers.
    site.saved.write_bytes(text.replace(digest.encode(), _digest_of(site.kind, text).encode()))


def _digest_of(kind: Operation, text: bytes) -> str:
    if kind is Operation.FIX:
        return plan.with_checksum(msgspec.json.decode(text, type=Plan)).sha256
    return saved_plan._digest(msgspec.json.decode(text, type=saved_plan.InstallPlan))


def other_purpose(site: Site, keys: dict[str, Path]) -> None:
    site.sign(keys["bob"], "hale")


def no_signature(site: Site, keys: dict[str, Path]) -> None:
    site.signed.write_bytes(b"\x00no signature" * 1000)


def by_its_author(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"], "Alice@example.org")
    site.sign(keys["bob"])


def by_its_author_among_others(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"], "bob@example.org,alice")
    site.sign(keys["bob"])


def by_a_pattern(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"], "*@example.org")
    site.sign(keys["bob"])


def expired(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"], options='valid-before="20200101" ')
    site.sign(keys["bob"])


def of_runs_only(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"], options='namespaces="hale" ')
    site.sign(keys["bob"])


def removed(site: Site, keys: dict[str, Path]) -> None:
    site.sign(keys["bob"])
    site.allowed.write_text("# nobody\n")


def fifo(site: Site, keys: dict[str, Path]) -> None:
    os.mkfifo(site.signed)


Deed = Callable[[Site, dict[str, Path]], None]
# What is done, the word of --verify ("" where it ends in an error), the reason that a run gives.
UNPROVEN: dict[Deed, tuple[str, str]] = {
    other_key: ("KEY NOT ALLOWED", "allowed_signers does not allow. One whom it allows signs"),
    other_plan: ("SIGNATURE OF ANOTHER PLAN", "is no signature of this plan"),
    other_byte: ("SIGNATURE OF ANOTHER PLAN", "is no signature of this plan"),
    other_purpose: ("SIGNATURE OF ANOTHER PLAN", "is no signature of this plan"),
    no_signature: ("SIGNATURE OF ANOTHER PLAN", "is no signature of this plan"),
    by_its_author: ("SIGNED BY ITS AUTHOR", "Alice@example.org is the plan's author, alice"),
    by_its_author_among_others: ("SIGNED BY ITS AUTHOR", "is the plan's author, alice"),
    by_a_pattern: ("SIGNED BY ITS AUTHOR", "is the plan's author, alice"),
    expired: ("KEY NOT ALLOWED", "does not allow (line 1: key has expired: "),
    of_runs_only: ("KEY NOT ALLOWED", "(line 1: key is not permitted for use in signature namesp"),
    removed: ("KEY NOT ALLOWED", "does not allow. One whom it allows"),
    fifo: ("", "it is a FIFO"),
}


@pytest.mark.parametrize("deed", UNPROVEN, ids=lambda deed: deed.__name__)
def test_a_signature_that_proves_nothing(site: Site, keys: dict[str, Path], deed: Deed) -> None:
    """It is refused whether the site requires one or not."""
    site.allow(keys["bob"])
    deed(site, keys)
    word, reason = UNPROVEN[deed]
    why = refused(site, site.saved)
    assert reason in why
    assert str(site.saved) in why
    if word:
        text, status = approve.verify(site.saved, None)
        assert text.splitlines()[-1].startswith(f"{word}: ")
        assert status == approve.NOT_APPROVED
    else:
        with pytest.raises(UserError, match=reason):
            approve.verify(site.saved, None)


def test_what_a_site_that_requires_a_signature_refuses(site: Site, keys: dict[str, Path]) -> None:
    site.demand()
    line = site.inventory.read_text().count("\n")
    why = refused(site, None)
    assert f"{site.inventory}:{line}: nothing was changed: hale_approvals=signed requires" in why
    assert "have it signed (invoke approve FILE)" in why
    why = refused(site, site.saved)
    assert f"({site.inventory}:{line} requires a signed plan): the plan is not signed." in why
    assert f"invoke approve {site.saved} --key KEY" in why
    site.sign(keys["bob"])
    assert f"there is no {site.allowed}" in refused(site, site.saved)
    site.allow(keys["bob"])
    assert site.apply(site.saved).check is SignatureCheck.VERIFIED


def test_a_reset_has_no_plan_to_sign(site: Site) -> None:
    site.demand()
    options = InstallOptions(site.inventory.parent / "reports", site.inventory, yes=True)
    with pytest.raises(UserError, match="A reset has no plan to sign: remove the variable"):
        reset.reset_cluster(options, reset.Reset("kubernetes"))


def test_an_inventory_beside_another_list(site: Site, keys: dict[str, Path]) -> None:
    """A plan names its inventory, and so its approvers: --inventory says which one it must be."""
    site.sign(keys["mallory"])
    site.allow(keys["mallory"], "mallory@example.org")
    other = site.inventory.with_name("site.ini")
    shutil.copy(site.inventory, other)
    assert site.apply(site.saved, inventory=site.inventory).check is SignatureCheck.VERIFIED
    with pytest.raises(UserError, match="the plan was made for the inventory"):
        site.apply(site.saved, inventory=other)
    assert not site.origins


def test_without_ssh_keygen(
    site: Site, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.allow(keys["bob"])
    site.sign(keys["bob"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no ssh-keygen here: install OpenSSH's client." in refused(site, site.saved)
    with pytest.raises(UserError, match="there is no ssh-keygen here"):
        approve.approve(site.saved, str(keys["bob"]), None)


# --- signing ---


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("alice", "", "cannot approve it"),
        (APPROVER, 'valid-before="20200101" ', "key has expired"),
        (APPROVER, 'namespaces="hale" ', "namespace"),
    ],
)
def test_a_signature_that_would_be_refused_is_not_written(
    site: Site, keys: dict[str, Path], name: str, options: str, reason: str
) -> None:
    site.allow(keys["bob"], name, options)
    with pytest.raises(UserError, match=f"the signature is not written: .*{reason}"):
        approve.approve(site.saved, str(keys["bob"]), None)
    assert not site.signed.exists()


def test_an_altered_plan_is_not_signed(site: Site, keys: dict[str, Path]) -> None:
    site.allow(keys["bob"])
    site.saved.write_bytes(site.saved.read_bytes() + b"\n")
    with pytest.raises(UserError, match="Plan again"):
        approve.approve(site.saved, str(keys["bob"]), None)
    assert not site.signed.exists()


def test_a_plan_that_is_made_again_voids_its_approval(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a fix; tests/install/test_saved_plan.py has that of an install."""
    if site.kind is Operation.FIX:
        site.signed.write_text("of an earlier plan")
        monkeypatch.setattr(plan_page, "save_page", lambda *_: Path())
        made = plan.load_plan(site.saved)
        fixes.FixPlan(made, None, ()).save(site.saved)  # type: ignore[arg-type]  # of the page
        assert not site.signed.exists()


def test_as_it_is_typed(
    site: Site, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(*words: str) -> tuple[int, str]:
        ran = subprocess.run(
            [INVOKE, *words],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    monkeypatch.undo()  # the command line has its own
    monkeypatch.setattr(provenance, "operator", lambda: AUTHOR)
    site.demand()
    site.allow(keys["bob"])
    words = ("fix", "--apply", "--plan") if site.kind is Operation.FIX else ("install", "--apply")
    apply = (*words, str(site.saved), "--yes", f"--reports={tmp_path / 'reports'}")
    status, text = typed(*apply)
    assert status == 1
    assert text.startswith(f"{words[0]}: {site.saved}: nothing was changed (")
    assert "the plan is not signed" in text
    if site.kind is Operation.FIX:
        status, text = typed("approve", str(site.saved), f"--key={keys['bob']}")
        assert status == 0, text
        assert f"\napproved: signed by {APPROVER} " in text
        site.sign(keys["mallory"])
        status, text = typed("approve", str(site.saved), "--verify")
        assert status == 1
        assert "\nKEY NOT ALLOWED: " in text
    assert not (tmp_path / "reports").exists()


# --- its record ---


@pytest.mark.parametrize(
    ("check", "signer", "line"),
    [
        (SignatureCheck.VERIFIED, APPROVER, f"verified: signed by {APPROVER} with the KEY"),
        (SignatureCheck.NOT_VERIFIED, "", "NOT VERIFIED: signed with the KEY, and there was no"),
        (SignatureCheck.NOT_SIGNED, "", ">none<"),
    ],
)
def test_the_page_of_a_run_names_the_signer(
    site: Site, check: SignatureCheck, signer: str, line: str
) -> None:
    html = page.render(record(site, PlanOrigin(check=check, signer=signer, key="KEY")))
    row = html.partition("signature of the approver")[2].partition("</tr>")[0]
    assert line in row
    approver = html.partition(">approved by<")[2].partition("</tr>")[0]
    assert (signer or "not recorded") in approver


def test_a_run_keeps_the_plan_that_was_signed(site: Site, keys: dict[str, Path]) -> None:
    """Of a fix of some of its hosts, plan.json is another one."""
    site.allow(keys["bob"])
    site.sign(keys["bob"])
    report = record(site, site.apply(site.saved))
    kept = site.inventory.parent / "runs" / report.run / approval.KEPT
    assert kept.read_bytes() == site.saved.read_bytes()
    text, status = approve.verify(kept, None)
    assert status == 0, text


def record(site: Site, origin: PlanOrigin) -> ChangeReport:
    """The page of a run without a step, made of its journal."""
    folder = recorder.create_run_dir(site.inventory.parent / "runs", site.kind.value)
    shutil.copy(site.saved, folder / "plan.json")
    owner = run_journals.new_owner(folder.name)
    header = run_journals.journal_header(
        owner, site.kind, site.inventory, approved_by=origin.signer, ticket=""
    )
    book = Journal(folder, header)
    book.write(run_journals.run_approval(origin, ""))
    book.close()
    origin.keep(folder)
    given = journal.load_run(folder).approval
    assert given is not None
    assert (given.signature, given.signer) == (origin.check, origin.signer)
    build = fix_page.build if site.kind is Operation.FIX else install_page.build
    return build(folder)
