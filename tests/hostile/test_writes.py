"""Local users of a host, while Hale writes there as root: they gain nothing by it.

Each attack prepares a host as root (what a site may have), and may have an ordinary user's loop.
Whatever Hale does: what is root's alone keeps its bytes, owner and mode, and a write whose way
others can change is refused, with the reason.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hale.apply import lock
from hale.apply.executor import StepExecutor
from hale.apply.lock import LockHeld, Owner
from hale.apply.prepared import PreconditionFailed, PreparedStep, StepFailed
from hale.install import executor
from hale.install.executor import InstallStepExecutor, InstallStepFailed
from hale.install.phase import RunScript, WriteFile
from hale.install.secrets import Secrets
from hale.model.change import Action, AppendLine, FileEdit, RestoreFile, SymlinkChange
from hale.paths import ROOT
from hale.plan import plan
from hale.plan.plan import Step
from remediate.cluster import scripts
from tests.hostile.local_host import USER, LocalHost, local_host

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root writes, and nobody attacks")

# Ordinary users' loops.
PLANT = """
print("begun", flush=True)
while True:
    for folder in (".", "d"):
        try:
            names = [n for n in os.listdir(folder) if n.startswith(".hale-new")]
        except OSError:
            continue
        for name in {".hale-new", *names}:
            try:
                os.symlink(victim, folder + "/link")
            except OSError:
                pass
            try:
                os.replace(folder + "/link", folder + "/" + name)
            except OSError:
                pass
"""
SWAP = """
print("begun", flush=True)
os.symlink(root, "link")
while True:
    for one, other in (("d", "real"), ("link", "d"), ("d", "link"), ("real", "d")):
        try:
            os.rename(one, other)
        except OSError:
            pass
"""
LINE = "10.0.0.1 vip"
BELONGS = r"belongs to nobody \(uid 65534\)"
OPEN = "others than root may write to"
ACL = (
    "import os, struct; "
    "e = ((1, 7, -1), (2, 7, 65534), (4, 5, -1), (16, 7, -1), (32, 5, -1)); "
    "os.setxattr(os.environ['etc'] + '/d', 'system.posix_acl_access', struct.pack('<I', 2) + "
    "b''.join(struct.pack('<HHi', *x) for x in e))"
)


@dataclass(frozen=True)
class Attack:
    """prepare: by root; path: what Hale writes, below etc; refused: why it does not."""

    prepare: str
    refused: str
    loop: str = ""
    path: str = "d/f"
    ways: tuple[str, ...] = ("edit", "create", "restore", "link", "install", "copy")


EDITING = ("edit", "restore")  # a file that is there, through links; the others replace a link
OWN = "install -d -o nobody $ops/d; ln -s $ops/d $etc/d; "
ATTACKS = {
    "the file is a link into a home, and its new name one to a file of root's": Attack(
        "ln -s $ops/f $etc/f; echo a >$ops/f; chown nobody $ops/f",
        BELONGS,
        PLANT,
        "f",
        EDITING,
    ),
    "the folder is a link into a home, likewise": Attack(OWN, BELONGS, PLANT),
    "the folder is a link into a home, and is swapped for one to root's": Attack(
        OWN, f"{BELONGS}|No such file", SWAP
    ),
    "the folder is the user's": Attack("install -d -o nobody $etc/d", BELONGS),
    "a folder above it is the user's": Attack(
        "install -d -o nobody $etc/u; mkdir $etc/u/d", BELONGS, path="u/d/f"
    ),
    "the folder's group may write": Attack("mkdir -m 775 $etc/d", OPEN),
    "all may write to the folder": Attack("mkdir -m 757 $etc/d", OPEN),
    "all may write to a folder above it": Attack(
        "mkdir -m 777 $etc/u; mkdir $etc/u/d", OPEN, path="u/d/f"
    ),
    "a user may write to the folder, by an ACL": Attack(f'mkdir $etc/d; python3 -c "{ACL}"', OPEN),
    "the folder is sticky, and the user's file is in it": Attack(
        "mkdir -m 1777 $etc/d; echo a >$etc/d/f; chown nobody $etc/d/f",
        BELONGS,
        ways=("edit", "restore", "install", "copy"),
    ),
    "the folder is sticky, and the file is not there": Attack(
        "mkdir -m 1777 $etc/d", "all users may write to", ways=("create", "link", "install", "copy")
    ),
    "a link in a sticky folder is the user's": Attack(
        "mkdir -m 1777 $etc/d; ln -s $victim $etc/d/f; chown -h nobody $etc/d/f",
        BELONGS,
        ways=EDITING,
    ),
    "a link of root's leads over one of the user's to a file of root's": Attack(
        "ln -s $ops/l $etc/f; ln -s $victim $ops/l; chown -h nobody $ops/l",
        BELONGS,
        path="f",
        ways=EDITING,
    ),
    "links in a circle": Attack(
        "ln -s e $etc/d; ln -s d $etc/e", "too many links", ways=("link", "install", "copy")
    ),
    "a hard link of the user's": Attack(
        "mkdir $etc/d; echo a >$etc/d/f; ln $etc/d/f $ops/mine",
        r"has 2 names \(hard links\)",
        ways=("edit", "restore", "install"),
    ),
}


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as made:
        yield made


def _run(host: LocalHost, change: Action, sha256: str = "", diff: str = "") -> None:
    """All that a run does with a step on a host."""
    doing = StepExecutor(host.session, "run")
    (prepared,) = doing.prepare({1: Step(("X",), change, sha256, diff)}).values()
    if isinstance(prepared, PreconditionFailed | StepFailed):
        raise prepared
    assert isinstance(prepared, PreparedStep)
    doing.apply(prepared)


def _bytes(host: LocalHost, path: str) -> bytes | None:
    try:
        return (host.etc / path).read_bytes()
    except OSError:
        return None


def edit(host: LocalHost, path: str) -> None:
    before = _bytes(host, path)
    change = FileEdit(str(host.etc / path), (AppendLine(LINE),), "why")
    diff = plan.unified_diff(change.path, before, (before or b"") + f"{LINE}\n".encode())
    _run(host, change, plan.sha256(before), diff)


def create(host: LocalHost, path: str) -> None:
    edit(host, path)


def restore(host: LocalHost, path: str) -> None:
    kept = host.top / "hale/runs/before/1/original"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("as before\n")
    digests = plan.sha256(_bytes(host, path)), plan.sha256(b"as before\n")
    name = "/var/lib/hale/runs/before/1/original"
    _run(host, RestoreFile(str(host.etc / path), name, *digests, "why"))


def link(host: LocalHost, path: str) -> None:
    _run(host, SymlinkChange(str(host.etc / path), "/dev/null", None, "why"))


def install(host: LocalHost, path: str) -> None:
    step = WriteFile("h", "t", str(host.etc / path), "new\n")
    InstallStepExecutor(host.session, Secrets()).execute(step, lambda line: None)


def copy(host: LocalHost, path: str) -> None:
    target = host.etc / path
    backups = host.top / "backups"
    kept = backups / str(target).lstrip("/")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("as before\n")
    script = scripts.load(
        "restore_files",
        str(target),
        backups=str(backups),
        written="/nonexistent",
        folder="/nonexistent",
    )
    step = RunScript("h", "t", script)
    InstallStepExecutor(host.session, Secrets()).execute(step, lambda line: None)


WAYS: dict[str, Callable[[LocalHost, str], None]] = {
    w.__name__: w for w in (edit, create, restore, link, install, copy)
}
ROUNDS = 12  # of a race


def _refusal(host: LocalHost, attack: Attack, way: str) -> str:
    try:
        WAYS[way](host, attack.path)
    except (PreconditionFailed, StepFailed) as error:
        return str(error)
    except InstallStepFailed as error:
        return f"{error}\n{error.output}"
    return "done"


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name, attack in ATTACKS.items() for way in attack.ways]
)
def test_attack(host: LocalHost, name: str, way: str) -> None:
    attack = ATTACKS[name]
    host.shell(attack.prepare)
    if way in EDITING and not os.path.lexists(host.etc / attack.path):
        (host.etc / attack.path).write_text("a\n")
    with host.attacker(attack.loop):
        for _ in range(ROUNDS if attack.loop else 1):
            why = _refusal(host, attack, way)
            assert host.untouched()
            assert re.search(attack.refused, why), why


@pytest.mark.parametrize("way", WAYS)
def test_a_link_between_folders_of_roots_is_followed(host: LocalHost, way: str) -> None:
    host.shell("mkdir $etc/real; ln -s real $etc/d")
    if way in EDITING:
        (host.etc / "real/f").write_text("a\n")
    assert _refusal(host, Attack("", ""), way) == "done"
    assert [p.name for p in (host.etc / "real").iterdir()] == ["f"], "nothing else stays"


@pytest.mark.parametrize("mode", ["777", "775", "757"])
def test_where_others_may_write_to_hales_folder_there_is_no_lock(
    host: LocalHost, mode: str
) -> None:
    host.shell(f"mkdir -m {mode} $etc/../hale")
    with pytest.raises(LockHeld, match=f"cannot be locked: {OPEN} /var/lib/hale"):
        lock.acquire(host.session, Owner("me", "here", "run", "now"), stale=False)
    assert [*(host.top / "hale").iterdir()] == []


def test_a_lock_is_taken_where_root_alone_may_write(host: LocalHost) -> None:
    lock.acquire(host.session, Owner("me", "here", "run", "now"), stale=False)
    assert [p.name for p in (host.top / "hale").iterdir()] == ["lock"]


def test_the_executor_of_an_install_keeps_originals_in_hales_folder() -> None:
    """Which the lock has looked at."""
    assert executor.BACKUP_DIR.startswith("/var/lib/hale/")
    assert executor.REPLACED_DIR.startswith("/var/lib/hale/")


# --- what a run keeps, and its processes ---

# Shell of an ordinary user, with $home for Hale's folder, $ops for the user's own and $pid for a
# shell of Hale's on the host.
ATTEMPTS = {
    "lists Hale's folder": "ls $home",
    "reads a file's original": "cat $home/runs/run/1/original",
    "names a file's original by a hard link": "ln $home/runs/run/1/original $ops/mine",
    "holds the lock": "flock -n $home/lock true",
    "breaks the lock": "rm -f $home/lock",
    "writes an original": "echo x >$home/runs/run/1/original",
    "plants the folder of a run": "mkdir $home/runs/next",
    "moves Hale's folder away": "mv $home $ops/hale",
    "stops a process of Hale's": "kill -STOP $pid",
    "reads its environment": "cat /proc/$pid/environ",
    "reads what it reads": "cat /proc/$pid/fd/0",
    "reads its memory": "dd if=/proc/$pid/mem of=$ops/memory bs=1 count=1",
    "traces it": (
        'python3 -c "import ctypes, sys; '
        "sys.exit(ctypes.CDLL(None).ptrace(16, $pid, 0, 0) != 0 and 'Operation not permitted')\""
    ),
}
DENIED = "Permission denied|Operation not permitted|cannot open lock file"


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_ordinary_user_gets_at_nothing_of_a_run(host: LocalHost, attempt: str) -> None:
    (host.etc / "f").write_text("a secret\n")
    edit(host, "f")
    lock.acquire(host.session, Owner("me", "here", "run", "now"), stale=False)
    home = host.top / "hale"
    kept = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert b"a secret\n" in kept.values()
    with subprocess.Popen(["/bin/sh"], stdin=subprocess.PIPE) as shell:
        names = {"home": str(home), "ops": str(host.ops), "pid": str(shell.pid)}
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", ATTEMPTS[attempt]],
                cwd=host.ops,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"} | names,
                user=USER,
                group=USER,
                extra_groups=[],
                capture_output=True,
                text=True,
                check=False,
            )
            state = Path(f"/proc/{shell.pid}/stat").read_text().rpartition(") ")[2][0]
        finally:
            shell.kill()
    assert done.returncode
    assert re.search(DENIED, done.stderr), done.stderr
    assert not done.stdout
    assert state in "SR"
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == kept


def test_the_page_lists_every_attacker() -> None:
    page = (ROOT / "docs/local-users.md").read_text()
    missing = [name for name in (*ATTACKS, *ATTEMPTS) if f"| {name} |" not in page]
    assert not missing
    on_lab = (ROOT / "tests/facts/test_processes_on_lab.py").read_text()
    named = re.findall(r"\| `(test_\w+)` \|", page)
    assert all(f"def {name}(" in on_lab for name in named)
    assert f"{len(ATTACKS) + len(ATTEMPTS) + len(named)} attackers: {len(ATTACKS)} beside" in page
