"""Files that steps write, on this machine: what is kept, copied, noted and replaced."""

import hashlib
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from facts.cluster import file_digests
from hale.install import executor, scheduler
from hale.install.executor import InstallStepExecutor, InstallStepFailed
from hale.install.phase import NO_FILE, WriteFile
from hale.install.secrets import Secrets
from hale.inventory.cluster_spec import KUBELET, WRITTEN
from hale.model.evidence import Evidence, HostView, Output
from remediate.cluster import templates
from tests.install import factories
from tests.install.script_host import Here

CASES = Path(__file__).parent / "phases"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    monkeypatch.setattr(executor, "BACKUP_DIR", str(tmp_path / "original"))
    monkeypatch.setattr(executor, "WRITTEN", str(tmp_path / "written"))
    monkeypatch.setattr(executor, "REPLACED_DIR", str(tmp_path / "replaced"))

    def write(path: Path, content: str, **more: object) -> bool:
        step = WriteFile("h", "t", str(path), content, **more)  # type: ignore[arg-type]
        return InstallStepExecutor(Here(), Secrets()).execute(step, print)  # type: ignore[arg-type]

    return write


def test_a_file_is_written_once(write: Callable[..., bool], tmp_path: Path) -> None:
    path, ran = tmp_path / "new folder" / "a file", tmp_path / "ran"
    after = f"echo x >>'{ran}'"
    assert write(path, "it's\n", mode=0o640, then=after)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("it's\n", 0o640)
    assert not write(path, "it's\n", mode=0o640, then=after)
    assert write(path, "it's\n", mode=0o600, then=after), "the mode counts too"
    assert ran.read_text() == "x\nx\n"
    assert [p.name for p in path.parent.iterdir()] == ["a file"]
    assert Path(f"{tmp_path}/original{path}.absent").exists()


def read_here(tmp_path: Path, *paths: Path) -> tuple[dict[str, bool], bool]:
    """Of each of these files whether it is Hale's; and whether this host has joined."""
    script = file_digests.probe(map(str, paths)).script
    script = script.replace(WRITTEN, f"{tmp_path}/written").replace(KUBELET, f"{tmp_path}/kubelet")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    output = Output("written.files", 0, done.stdout, "", 0.0)
    readings = HostView(Evidence("h", {"written.files": output}), file_digests.SUBJECT)
    found = file_digests.read(readings)
    return {p: d.by_hale for p, d in found.items()}, file_digests.joined(readings)


def test_whose_a_file_is(write: Callable[..., bool], tmp_path: Path) -> None:
    ours, theirs, earlier = (tmp_path / n for n in ("ours", "theirs", "earlier"))
    write(ours, "# written by Hale\na\n")
    write(ours, "# written by Hale\nb\n")
    theirs.write_text("a\n# not\n# written by Hale\n")
    earlier.write_text("#!/bin/sh\n# written by Hale: what for\n")
    everything = (ours, theirs, earlier)
    whose = {str(ours): True, str(theirs): False, str(earlier): True}
    assert read_here(tmp_path, *everything) == (whose, False)
    (tmp_path / "kubelet").touch()
    ours.write_text("# written by Hale\nb\nedited\n")
    assert read_here(tmp_path, *everything) == (whose | {str(ours): False}, True)
    ours.write_text("# written by Hale\na\n")
    assert read_here(tmp_path, ours)[0] == {str(ours): True}, "Hale's own of before"


def test_a_file_of_an_earlier_hale_is_copied_first(
    write: Callable[..., bool], tmp_path: Path
) -> None:
    path = tmp_path / "conf"
    write(path, "# written by Hale\na\n")
    shutil.rmtree(tmp_path / "written")  # an earlier Hale kept no record
    path.write_text("# written by Hale\na, edited\n")
    write(path, "# written by Hale\nb\n")
    (copy,) = Path(f"{tmp_path}/replaced{tmp_path}").iterdir()
    assert copy.read_text() == "# written by Hale\na, edited\n"
    write(path, "# written by Hale\nc\n")
    assert len([*copy.parent.iterdir()]) == 1, "what the record knows needs no copy"


def test_what_has_changed_since_it_was_read_is_kept(
    write: Callable[..., bool], tmp_path: Path
) -> None:
    path, ran = tmp_path / "conf", tmp_path / "ran"
    observed = hashlib.sha256(b"as it was read\n").hexdigest()
    path.write_text("edited by the site\n")
    with pytest.raises(InstallStepFailed, match="conf has changed since it was read") as caught:
        write(path, "new\n", replaces=observed, then=f"touch {ran}")
    edited = hashlib.sha256(b"edited by the site\n").hexdigest()
    assert f"{observed} when it was read, {edited} now" in caught.value.output
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=NO_FILE)
    assert path.read_text() == "edited by the site\n"
    path.unlink()
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=observed)
    # While the new file is checked, the site edits.
    path.write_text("as it was read\n")
    with pytest.raises(InstallStepFailed, match="has changed since"):
        write(path, "new\n", replaces=observed, check=f"echo edited >>{path}")
    assert path.read_text() == "as it was read\nedited\n"
    assert not ran.exists()
    assert [p.name for p in tmp_path.glob(".hale-new*")] == []
    path.write_text("as it was read\n")
    assert write(path, "new\n", replaces=observed)
    path.unlink()
    assert write(path, "new\n", replaces=NO_FILE)
    assert not write(path, "new\n", replaces=observed), "it is there already"


def test_what_a_write_on_a_joined_host_may_replace(tmp_path: Path) -> None:
    files = f"{'a' * 64} 644 1.0 /etc/x\n"
    observed = factories.observed(
        {"m1": {"written.files": f"joined\n{files}"}, "m2": {"written.files": files}}, {}
    )
    assert templates.replaces(observed, "m1", "/etc/x") == "a" * 64
    assert templates.replaces(observed, "m1", "/etc/y") == NO_FILE
    assert templates.replaces(observed, "m2", "/etc/x") is None


@pytest.mark.parametrize(
    ("phase", "case"),
    [
        ("runtime", "older-than-its-configuration"),
        ("load_balancer", "the-ca-has-come"),
        ("packages", "not-held"),
    ],
)
def test_every_write_on_a_joined_host_names_what_it_replaces(
    tmp_path: Path, phase: str, case: str
) -> None:
    given = tomllib.loads((CASES / phase / f"{case}.toml").read_text())
    site = factories.made(tmp_path, given.get("inventory", ""))
    everywhere = given["outputs"].pop("*", {})
    outputs = {h.name: everywhere | given["outputs"].get(h.name, {}) for h in site.hosts}
    for one in outputs.values():
        files = re.sub(r"\{sha256 \S+\}", "b" * 64, one.get("written.files", ""))
        hales = "".join(f"hale {line.split()[-1]}\n" for line in files.splitlines())
        one["written.files"] = f"joined\n{hales}{files}"
    found = factories.observed(outputs, given.get("files", {}))
    steps = [s for b in scheduler.load_phase(phase).batches(site, found) for s in b.steps]
    writes = [s for s in steps if isinstance(s, WriteFile)]
    assert writes
    for one_write in writes:
        known = templates.replaces(found, one_write.host, one_write.path)
        assert (one_write.replaces, bool(known)) == (known, True), one_write.path


def test_what_was_there_first_is_kept(write: Callable[..., bool], tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("the site's\n")
    assert write(path, "one\n")
    assert write(path, "two\n")
    assert Path(f"{tmp_path}/original{path}").read_text() == "the site's\n"


def test_an_invalid_file_replaces_nothing(write: Callable[..., bool], tmp_path: Path) -> None:
    path = tmp_path / "conf"
    path.write_text("old\n")
    check = 'cat "$new"; grep -q valid "$new"'
    with pytest.raises(InstallStepFailed, match="is invalid, the old one was kept") as failed:
        write(path, "wrong\n", check=check)
    assert failed.value.output == "wrong"
    assert path.read_text() == "old\n"
    assert write(path, "valid\n", check=check)
