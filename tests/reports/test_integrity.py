"""SHA256SUMS and its signature: what `invoke report verify` and `sign` find on runs on disk."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hale.apply import journal, sealing
from hale.apply.journal import NodeCordoned, NodeUncordoned, RunFinished, RunState
from hale.cli import integrity
from hale.files import manifest, signature
from hale.files.manifest import FileState
from hale.files.signature import SignatureState
from hale.model.errors import UserError
from hale.model.results import Results
from tests.reports import change_runs, factories

HANG = "test_runtime[k8s-node-01-SYS-IP-FORWARD]"
FILES = {"results.json": b"{}\n", "before/report.html": b"<html>", "-rf": b"", "vip/x.csv": b"1"}
ODD = ("a\nb", "back\\slash", "cr\rx", "\\n", "sp ace", " * x", "ümlaut", os.fsdecode(b"\xff\xfe"))


def run_folder(path: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files and their manifest."""
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    manifest.write(path)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_folder(tmp_path / "reports" / "run", FILES)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return tmp_path / "inventory.ini"


def verify(run: Path, inventory: Path) -> tuple[str, int]:
    return integrity.verify(run.name, run.parent, inventory)


# --- files ---


def test_sha256sum_reads_the_manifest(tmp_path: Path) -> None:
    run = run_folder(tmp_path, FILES | {f"odd/{name}": name.encode() for name in ODD[:-1]})
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", manifest.NAME], cwd=run, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count(b": OK\n") == len(FILES) + len(ODD) - 1
    assert (run / manifest.NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ODD)
def test_any_name_is_verified(tmp_path: Path, name: str) -> None:
    run = run_folder(tmp_path, {name: b"1", "other": b"2"})
    assert manifest.differences(run, manifest.read(run)) == []
    (run / name).write_bytes(b"3")
    (found,) = manifest.differences(run, manifest.read(run))
    assert (found.path, found.state) == (name, FileState.CHANGED)


def test_a_run_that_is_as_it_was(run: Path, inventory: Path) -> None:
    text, status = verify(run, inventory)
    assert text.splitlines()[0] == f"{len(FILES)} files are as SHA256SUMS has them"
    assert "not signed" in text
    assert status == 0


def replace_by_link(path: Path) -> None:
    """The same content by a symbolic link."""
    path.rename(path.with_name("kept"))
    shutil.move(path.with_name("kept"), path.parent.parent.parent / "kept")
    path.symlink_to(path.parent.parent.parent / "kept")


def replace_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_device(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path.unlink()
    os.mknod(path, 0o020600, os.makedev(1, 5))  # /dev/zero, which has no end


def replace_folder_by_link(path: Path) -> None:
    outside = path.parents[2] / "outside"
    path.parent.rename(outside)
    path.parent.symlink_to(outside)


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "content": (lambda p: p.write_bytes(b"<htmL>"), "changed: before/report.html"),
    "deleted": (lambda p: p.unlink(), "missing: before/report.html"),
    "added": (lambda p: p.with_name("new\x1b[2J").touch(), r"added: before/new\x1b[2J"),
    "link": (replace_by_link, "refused: before/report.html (a symbolic link)"),
    "fifo": (replace_by_fifo, "refused: before/report.html (a FIFO)"),
    "device": (replace_by_device, "refused: before/report.html (a character device)"),
    "folder": (replace_folder_by_link, "refused: before (a symbolic link)"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_not_as_it_was_is_named(run: Path, inventory: Path, what: str) -> None:
    tamper, line = TAMPERED[what]
    tamper(run / "before" / "report.html")
    text, status = verify(run, inventory)
    lines = text.splitlines()
    assert lines[0].startswith("TAMPERED: ")
    assert f"  {line}" in lines
    assert len(lines) == (4 if what == "folder" else 3)  # its file is missing too
    assert status == integrity.TAMPERED
    with pytest.raises(UserError, match="nothing is signed"):
        integrity.sign(run.name, run.parent, "key")
    if "refused" in line:
        with pytest.raises(UserError, match="a run has files only"):
            manifest.write(run)


GOOD = b"0" * 64
WRONG = {
    "truncated": GOOD + b"  a\n" + GOOD + b"  results.js",
    "empty": b"",
    "short digest": GOOD[:-1] + b"  results.json\n",
    "outside": GOOD + b"  ../results.json\n",
    "absolute": GOOD + b"  /etc/passwd\n",
    "inside and out": GOOD + b"  before/../../x\n",
    "NUL": GOOD + b"  a\0b\n",
    "itself": GOOD + b"  SHA256SUMS\n",
    "escape": b"\\" + GOOD + b"  a\\tb\n",
    "twice": (GOOD + b"  a\n") * 2,
    "no manifest": b"<html>\n",
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_manifest_is_refused(run: Path, inventory: Path, what: str) -> None:
    (run / manifest.NAME).write_bytes(WRONG[what])
    with pytest.raises(UserError) as refused:
        verify(run, inventory)
    assert str(refused.value).startswith(str(run / manifest.NAME))


def test_a_manifest_that_is_no_file_is_refused(run: Path, inventory: Path) -> None:
    replace_by_fifo(run / manifest.NAME)
    with pytest.raises(UserError, match="it is a FIFO"):
        verify(run, inventory)


def test_a_link_as_manifest_is_refused(run: Path, inventory: Path) -> None:
    (run / manifest.NAME).rename(run.parent / "sums")
    (run / manifest.NAME).symlink_to(run.parent / "sums")
    text, status = verify(run, inventory)
    assert "refused: SHA256SUMS (a symbolic link)" in text
    assert status == integrity.TAMPERED


# --- when it is written ---


def test_an_audit_ends_with_its_manifest(complete: factories.Audited, inventory: Path) -> None:
    text, status = verify(complete.folder, inventory)
    assert text.startswith("4 files are as SHA256SUMS has them\n")
    assert status == 0
    sums = (complete.folder / manifest.NAME).stat().st_mtime_ns
    assert all(p.stat().st_mtime_ns <= sums for p in complete.folder.iterdir())


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_audit_that_was_cut_off_has_none(
    tmp_path: Path, inventory: Path, end: signal.Signals
) -> None:
    ran = factories.cut_short(tmp_path, end, at=HANG)
    assert not (ran.folder / manifest.NAME).exists()
    with pytest.raises(UserError, match="has no SHA256SUMS: it was interrupted"):
        verify(ran.folder, inventory)


def unreported(host: str, text: str) -> None:
    pytest.fail(text)


def add(folder: Path, *entries: journal.Entry) -> None:
    """What a later run writes into a run's journal."""
    with (folder / journal.NAME).open("ab") as file:
        file.writelines(msgspec.json.encode(one) + b"\n" for one in entries)


def test_a_change_has_its_manifest_from_its_end_on(tmp_path: Path, recorded: Results) -> None:
    at = change_runs.at
    made = change_runs.a_plan(change_runs.ONE)
    before, _ = change_runs.audits(recorded)
    folder = change_runs.a_run(tmp_path, made, [], before, None)
    sums = folder / manifest.NAME
    sealing.seal_run(folder, unreported)
    assert not sums.exists(), "it has no end"
    with sealing.recovered(folder, unreported):
        add(folder, RunFinished(RunState.INTERRUPTED, at(2)))
    assert manifest.differences(folder, sums.read_bytes()) == []


def test_recovery_writes_the_manifest_again(
    tmp_path: Path, recorded: Results, inventory: Path, key: Path
) -> None:
    """A run that ended with its node cordoned; its signature was for what it had been."""
    allow(inventory, key)
    entries = (NodeCordoned("w", "w", change_runs.at(1)), RunFinished(RunState.FAILED, "at"))
    before, _ = change_runs.audits(recorded)
    made = change_runs.a_plan(change_runs.ONE)
    folder = change_runs.a_run(tmp_path, made, entries, before, None)
    sealing.seal_run(folder, unreported)
    signature.sign(folder, key)
    with sealing.recovered(folder, unreported):
        add(folder, NodeUncordoned("w", "w", change_runs.at(3)))
    assert manifest.differences(folder, manifest.read(folder)) == []
    assert not (folder / manifest.SIGNATURE).exists()


def test_recovery_hides_no_change(tmp_path: Path, recorded: Results, inventory: Path) -> None:
    before, _ = change_runs.audits(recorded)
    made = change_runs.a_plan(change_runs.ONE)
    end = RunFinished(RunState.FAILED, change_runs.at(1))
    folder = change_runs.a_run(tmp_path, made, [end], before, None)
    sealing.seal_run(folder, unreported)
    (folder / "before" / "results.json").write_bytes(b"{}")
    reported: list[str] = []
    with sealing.recovered(folder, lambda host, text: reported.append(text)):
        add(folder, NodeUncordoned("w", "w", change_runs.at(3)))
    (text,) = reported
    assert "was changed after its end" in text
    text, _ = verify(folder, inventory)
    assert "  changed: before/results.json\n" in text


def test_a_manifest_that_cannot_be_written_ends_no_change(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reported: list[str] = []
    sealing.seal_run(tmp_path, lambda host, text: reported.append(text))
    (text,) = reported
    assert "it is a FIFO" in text


# --- signatures ---


def keygen(path: Path, *more: str) -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *more, "-C", path.name, "-f", str(path)],
        check=True,
    )
    return path


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("keys") / "alice")


def allow(inventory: Path, key: Path, options: str = "") -> None:
    public = key.with_name(f"{key.name}.pub").read_text()
    inventory.with_name("allowed_signers").write_text(f"{key.name}@example.org {options}{public}")


@pytest.mark.parametrize("leads_to", ["nowhere", "allowed_signers", "."])
def test_a_list_that_cannot_be_read_is_one(run: Path, inventory: Path, leads_to: str) -> None:
    """As of a share that is not mounted: a run without a signature is not accepted by that."""
    inventory.with_name("allowed_signers").symlink_to(leads_to)
    text, status = verify(run, inventory)
    assert "NOT SIGNED, and " in text
    assert status == integrity.TAMPERED


def test_a_signature_by_who_is_allowed(run: Path, inventory: Path, key: Path) -> None:
    allow(inventory, key, 'namespaces="hale" ')
    text, status = verify(run, inventory)
    assert "NOT SIGNED, and " in text, "where a list is, a signature is required"
    assert status == integrity.TAMPERED
    integrity.sign(run.name, run.parent, str(key))
    text, status = verify(run, inventory)
    assert "\nsigned by alice@example.org (ED25519 key SHA256:" in text
    assert status == 0
    by_hand = ["ssh-keygen", "-Y", "verify", "-f", "../../allowed_signers", "-n", "hale"]
    by_hand += ["-I", "alice@example.org", "-s", "SHA256SUMS.sig"]
    subprocess.run(by_hand, cwd=run, input=(run / manifest.NAME).read_bytes(), check=True)


def other_key(run: Path, key: Path) -> None:
    signature.sign(run, keygen(run.parent / "mallory"))


def other_run(run: Path, key: Path) -> None:
    other = run_folder(run.parent / "other", {"a": b"1"})
    signature.sign(other, key)
    shutil.copy(other / manifest.SIGNATURE, run)


def other_manifest(run: Path, key: Path) -> None:
    signature.sign(run, key)
    (run / "results.json").write_bytes(b"{1}\n")
    manifest.write(run)


def other_file(run: Path, key: Path) -> None:
    signature.sign(run, key)
    (run / "results.json").write_bytes(b"{1}\n")


def other_namespace(run: Path, key: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", str(key)]
    subprocess.run([*command, str(run / manifest.NAME)], check=True, capture_output=True)


def no_signature(run: Path, key: Path) -> None:
    (run / manifest.SIGNATURE).write_bytes(b"\x00no signature" * 1000)


UNPROVEN: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "key": (other_key, "KEY NOT ALLOWED: "),
    "run": (other_run, "SIGNATURE OF ANOTHER RUN, or SHA256SUMS was changed"),
    "manifest": (other_manifest, "SIGNATURE OF ANOTHER RUN, or SHA256SUMS was changed"),
    "file": (other_file, "signed by alice@example.org"),
    "namespace": (other_namespace, "SIGNATURE OF ANOTHER RUN"),
    "text": (no_signature, "SIGNATURE OF ANOTHER RUN"),
}


@pytest.mark.parametrize("what", UNPROVEN)
def test_a_signature_that_proves_nothing(run: Path, inventory: Path, key: Path, what: str) -> None:
    allow(inventory, key)
    forge, line = UNPROVEN[what]
    forge(run, key)
    text, status = verify(run, inventory)
    assert text.splitlines()[-1].startswith(line)
    assert status == integrity.TAMPERED
    assert text.startswith("TAMPERED") == (what == "file")


@pytest.mark.parametrize(
    "options",
    ['namespaces="git" ', 'valid-before="20200101" '],
    ids=["another namespace", "no longer"],
)
def test_a_key_is_allowed_as_the_list_says(
    run: Path, inventory: Path, key: Path, options: str
) -> None:
    allow(inventory, key, options)
    signature.sign(run, key)
    text, status = verify(run, inventory)
    assert "\nKEY NOT ALLOWED: " in text
    assert status == integrity.TAMPERED


def test_without_a_list_no_key_is_known(run: Path, inventory: Path, key: Path) -> None:
    signature.sign(run, key)
    text, status = verify(run, inventory)
    assert "\nKEY NOT KNOWN: " in text
    assert status == integrity.TAMPERED


def test_a_signature_that_is_no_file_is_refused(run: Path, inventory: Path, key: Path) -> None:
    allow(inventory, key)
    os.mkfifo(run / manifest.SIGNATURE)
    with pytest.raises(UserError, match="it is a FIFO"):
        verify(run, inventory)


@pytest.fixture
def agent(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A public key whose private half only ssh-agent has."""
    path = tmp_path / "agent.sock"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline()  # the socket is there
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        yield Path(shutil.copy(key.with_name("alice.pub"), tmp_path))
    finally:
        process.terminate()
        process.communicate()


def test_a_key_in_the_agent_signs(run: Path, inventory: Path, key: Path, agent: Path) -> None:
    allow(inventory, key)
    integrity.sign(run.name, run.parent, str(agent))
    assert signature.check(
        run, manifest.read(run), inventory.with_name("allowed_signers")
    ).state is (SignatureState.VALID)


def test_a_key_that_cannot_sign(
    run: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.delenv(signature.KEY_VARIABLE, raising=False)
    lone = Path(shutil.copy(key.with_name("alice.pub"), tmp_path / "lone.pub"))
    for wrong, reason in (lone, "not signed"), (tmp_path / "none", "no such key"):
        with pytest.raises(UserError, match=reason):
            integrity.sign(run.name, run.parent, str(wrong))
    with pytest.raises(UserError, match="--key FILE"):
        integrity.sign(run.name, run.parent, "")
    assert not (run / manifest.SIGNATURE).exists()


def test_an_audit_is_signed_at_its_end(tmp_path: Path, inventory: Path, key: Path) -> None:
    allow(inventory, key)
    more = {signature.KEY_VARIABLE: str(key)}
    ran = factories.audit(tmp_path / "r", "-m", "chapter9", **more)
    text, status = verify(ran.folder, inventory)
    assert "\nsigned by alice@example.org " in text
    assert status == 0
    with pytest.raises(UserError, match="there is no such key"):
        signature.seal(ran.folder, {signature.KEY_VARIABLE: str(tmp_path / "none")})
    assert not (ran.folder / manifest.SIGNATURE).exists(), "it was of the manifest before"


def test_as_it_is_typed(run: Path, inventory: Path, key: Path) -> None:
    def typed(*words: str) -> tuple[int, str]:
        invoke = str(Path(sys.executable).parent / "invoke")
        ran = subprocess.run(
            [invoke, "report", *words, f"--reports={run.parent}"],
            cwd=factories.ROOT,
            env=factories.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    allow(inventory, key)
    status, text = typed("sign", run.name, f"--key={key}")
    assert (status, text) == (0, f"signed: {run / manifest.SIGNATURE}\n")
    status, text = typed("verify", run.name, f"--inventory={inventory}")
    assert status == 0, text
    assert "\nsigned by alice@example.org " in text
    (run / "results.json").unlink()
    status, text = typed("verify", run.name, f"--inventory={inventory}")
    assert status == 1
    assert "\n  missing: results.json\n" in text
    status, text = typed("verify")
    assert status == 1
    assert text.startswith("report: no run")
