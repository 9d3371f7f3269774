"""The program by which a host undoes a run, at each state in which its timer can find the steps.

This machine is the host, with folders of the test's; test_trial.py has real timers and units.
"""

import base64
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hale.apply import lock, trial
from hale.apply.executor import StepExecutor
from hale.apply.gates import NodeStatus
from hale.apply.lock import LockHeld, Owner
from hale.apply.prepared import PreconditionFailed, PreparedStep, StepFailed
from hale.model.change import (
    Action,
    AppendLine,
    FileEdit,
    Impact,
    KernelValueChange,
    SymlinkChange,
    UnitAction,
    UnitChange,
)
from hale.model.errors import UserError
from hale.plan import plan
from hale.plan.plan import HostPlan, Plan, Step
from hale.report.change.model import TrialState
from hale.ssh.target import CommandResult, Target
from tests.hostile.local_host import HOME, LocalHost, local_host

RUN = "2026-11-30T021445Z-fix"
UNITS = "/etc/systemd/system"
# What systemd does with the timer is the lab's to prove.
SYSTEMCTL = '#!/bin/sh\necho "$@" >>{calls}\n'


# As systemd does while a unit that is ordered after x.service keeps it loaded: it starts what it
# has read at the last reload, and not what the files are now.
KEPT_UNIT = """#!/bin/sh
case "$*" in
daemon-reload) if [ -L {units}/x.service ]; then : >{top}/masked; else rm -f {top}/masked; fi ;;
*show*x.service) printf 'LoadState=loaded\\nActiveState=%s\\n' "$(cat {top}/active)" ;;
*stop*x.service) echo inactive >{top}/active ;;
*start*x.service)
  [ ! -e {top}/masked ] || {{ echo "Unit x.service is masked." >&2; exit 1; }}
  echo active >{top}/active
  ;;
esac
"""


class Session:
    """This machine as a host, with folders of the test's for units too."""

    def __init__(self, host: LocalHost) -> None:
        self.host = host
        self.target = host.session.target
        self.calls = host.top / "calls"
        self.units: Path = host.top / "units"
        self.units.mkdir()
        tools = host.top / "tools"
        tools.mkdir()
        (tools / "systemctl").write_text(SYSTEMCTL.format(calls=self.calls))
        (tools / "systemctl").chmod(0o755)
        host.session.tools = tools

    def moved(self, script: str) -> str:
        return script.replace(UNITS, str(self.units))

    def run(
        self, command: str, timeout: float = 60, stdin: bytes = b"", simple: bool = False
    ) -> CommandResult:
        found: CommandResult = self.host.session.run(
            self.moved(command), timeout, self.moved(stdin.decode()).encode()
        )
        return found


@dataclass
class OnTrial:
    """A host with three steps of a run on trial."""

    host: LocalHost
    session: "Session"
    steps: dict[int, PreparedStep]
    before: str
    executor: StepExecutor

    @property
    def folder(self) -> Path:
        return self.host.top / "hale/runs" / RUN

    def apply(self, *numbers: int) -> None:
        for number in numbers:
            self.executor.apply(self.steps[number])

    @property
    def program(self) -> str:
        """The program that the host has."""
        return base64.b64decode((self.folder / "trial/undo").read_bytes()).decode()

    def time_is_over(self, old: str = "", new: str = "") -> str:
        """The timer's service: what it prints. old, new: of the program, replaced."""
        home, tools = self.host.top / "hale", self.host.session.tools
        assert old in self.program
        script = self.program.replace(old, new) if old else self.program
        script = self.session.moved(script).replace(HOME, str(home))
        script = script.replace("PATH=/usr/sbin", f"PATH={tools}:/usr/sbin")
        service = next(self.session.units.glob("*.service"), None)
        if service is not None:
            command = f"ExecStart=/bin/sh -c 'base64 -d {self.folder}/trial/undo | exec /bin/sh'\n"
            assert command in service.read_text()
        done = subprocess.run(["/bin/sh"], input=script, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def reply(self, goal: TrialState | None = None) -> trial.TrialReply:
        session: Any = self.session
        return trial.end(session, RUN, goal)

    def listing(self) -> str:
        """Bytes, modes, links and times of the host's files."""
        script = (
            r"cd $0 && find etc units \( -type d -printf '%p %M\n' \) -o -printf '%p %M %l %T@\n'"
            " | sort; find etc -type f -print0 | sort -z | xargs -0 sha256sum"
        )
        return subprocess.run(
            ["/bin/sh", "-c", script, str(self.host.top)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.fixture
def on_trial() -> Iterator[OnTrial]:
    with local_host() as host:
        session = Session(host)
        old, new = host.etc / "old.conf", host.etc / "sub/new.conf"
        old.write_text("a\n")
        host.shell("touch -d 2020-02-02 $etc/old.conf; chmod 640 $etc/old.conf; echo 1 >$etc/value")
        changes: tuple[Action, ...] = (
            FileEdit(str(old), (AppendLine("b"),), "why"),
            FileEdit(str(new), (AppendLine("b"),), "why"),
            SymlinkChange(str(host.etc / "link"), "/dev/null", None, "why"),
        )
        diffs = (
            (plan.sha256(b"a\n"), plan.unified_diff(str(old), b"a\n", b"a\nb\n")),
            ("", plan.unified_diff(str(new), None, b"b\n")),
            ("", ""),
        )
        steps = {
            n: Step(("SYS-X",), change, *given)
            for n, (change, given) in enumerate(zip(changes, diffs, strict=True), 1)
        }
        as_session: Any = session
        executor = StepExecutor(as_session, RUN, on_trial=True)
        found = executor.prepare(steps)
        prepared = {n: one for n, one in found.items() if isinstance(one, PreparedStep)}
        assert len(prepared) == len(steps)
        made = OnTrial(host, session, prepared, "", executor)
        made.before = made.listing()
        yield made


def begin(host: OnTrial) -> None:
    session: Any = host.session
    trial.arm(session, RUN, host.steps, 600)


@pytest.fixture
def armed(on_trial: OnTrial) -> OnTrial:
    begin(on_trial)
    assert on_trial.listing() != on_trial.before, "the units are there"
    return on_trial


@pytest.mark.parametrize("applied", [(), (1,), (1, 2), (1, 2, 3)], ids=len)
def test_what_was_applied_is_undone(armed: OnTrial, applied: tuple[int, ...]) -> None:
    armed.apply(*applied)
    armed.time_is_over()
    assert armed.listing() == armed.before
    reply = armed.reply()
    assert (reply.state, reply.problems) == (TrialState.UNDONE, ())
    assert len(reply.undone) == len(applied)
    assert not (armed.host.top / "hale/trial").exists()


def test_what_is_started_has_its_files_read_again(on_trial: OnTrial) -> None:
    """A unit that the run has masked, after which systemd has read its files, and stopped."""
    session: Any = on_trial.session
    top, active = on_trial.host.top, on_trial.host.top / "active"
    active.write_text("active\n")
    script = KEPT_UNIT.format(units=session.units, top=top)
    (session.host.session.tools / "systemctl").write_text(script)
    mask = SymlinkChange(f"{UNITS}/x.service", "/dev/null", None, "why")
    stop = UnitChange("x.service", UnitAction.STOP, "active", "", "why")
    steps = {4: Step(("SYS-X",), mask), 5: Step(("SYS-X",), stop)}
    executor = StepExecutor(session, RUN, on_trial=True)
    prepared = executor.prepare(steps)
    on_trial.steps = {n: one for n, one in prepared.items() if isinstance(one, PreparedStep)}
    assert on_trial.steps.keys() == steps.keys()
    begin(on_trial)
    executor.apply(on_trial.steps[4])
    executor.reload()
    executor.apply(on_trial.steps[5])
    assert active.read_text() == "inactive\n"
    assert (top / "masked").exists()
    on_trial.time_is_over()
    reply = on_trial.reply()
    assert (reply.state, reply.problems) == (TrialState.UNDONE, ())
    assert active.read_text() == "active\n"
    assert on_trial.listing() == on_trial.before


def test_an_audit_finds_no_command_of_a_boot_in_it(armed: OnTrial) -> None:
    """It reads the files that a service names, such as one that sets what a run has set."""
    files = [*armed.session.units.glob("*.*"), armed.folder / "trial/undo"]
    assert len(files) == 4
    for path in files:
        assert path.is_dir() or str(armed.host.etc) not in path.read_text()
    assert str(armed.host.etc) in armed.program
    assert (armed.folder / "trial/undo").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_step_that_was_applied_and_not_recorded_is_undone(armed: OnTrial, cut: int) -> None:
    armed.apply(1, 2, 3)
    (armed.folder / f"{cut}/done").unlink()
    armed.time_is_over()
    assert armed.listing() == armed.before
    assert len(armed.reply().undone) == 3


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_step_that_was_begun_and_not_applied_is_none(armed: OnTrial, cut: int) -> None:
    armed.apply(*(n for n in armed.steps if n != cut))
    (armed.folder / f"{cut}/begun").touch()
    armed.time_is_over()
    assert armed.listing() == armed.before
    reply = armed.reply()
    assert (reply.state, len(reply.undone)) == (TrialState.UNDONE, 2)


def test_what_was_edited_since_stays_and_is_reported(armed: OnTrial) -> None:
    armed.apply(1, 2, 3)
    old = armed.host.etc / "old.conf"
    old.write_text("edited\n")
    armed.time_is_over()
    assert old.read_text() == "edited\n"
    assert not (armed.host.etc / "link").is_symlink()
    reply = armed.reply()
    assert reply.state is TrialState.INCOMPLETE
    (problem,) = reply.problems
    assert problem.startswith(f"refused: restore {old}: ")
    assert [*armed.session.units.rglob("*hale*")] == []


def test_an_undo_that_was_interrupted_goes_on(armed: OnTrial) -> None:
    """A power cut came while the host undid the run: the next boot begins again at once."""
    armed.apply(1, 2, 3)
    (armed.folder / "trial/state").write_text("undoing 2026-11-30T02:14:45Z\n")
    (armed.host.etc / "link").unlink()
    assert armed.reply(TrialState.CONFIRMED).state is TrialState.UNDOING, "too late to confirm"
    armed.time_is_over()
    assert armed.listing() == armed.before
    assert armed.reply().state is TrialState.UNDONE


def test_the_undo_of_an_interrupted_one_does_not_wait_for_the_window(armed: OnTrial) -> None:
    armed.apply(1)
    armed.time_is_over("\nfinish\n", '\ncp -a "$units" "$units.cut"\n')
    (timer,) = Path(f"{armed.session.units}.cut").glob("*.timer")
    assert "OnActiveSec=1\n" in timer.read_text()


def test_no_step_begins_once_the_host_has_undone_the_run(armed: OnTrial) -> None:
    armed.apply(1)
    armed.time_is_over()
    with pytest.raises(PreconditionFailed, match="the host undoes the run by itself"):
        armed.apply(2)
    assert armed.listing() == armed.before


def test_a_step_that_runs_ends_before(armed: OnTrial) -> None:
    """The timer's service waits for the lock that a step holds."""
    script = f"exec 8>>{armed.folder}/trial/lock; flock 8; echo held; read end"
    with subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as step:
        assert step.stdout
        assert step.stdin
        assert step.stdout.readline() == b"held\n"
        with pytest.raises(AssertionError, match="77"):
            armed.time_is_over("flock 8", "flock -n 8 || exit 77")
        step.stdin.close()
    armed.time_is_over()


@pytest.mark.parametrize("goal", [TrialState.CONFIRMED, TrialState.CANCELLED])
def test_what_is_confirmed_or_cancelled_stays(armed: OnTrial, goal: TrialState) -> None:
    armed.apply(1, 2, 3)
    assert armed.reply(goal).state is goal
    assert [*armed.session.units.iterdir()] == []
    assert not (armed.host.top / "hale/trial").exists()
    applied = armed.listing()
    assert armed.time_is_over() == ""
    assert armed.listing() == applied
    assert armed.reply(TrialState.CONFIRMED).state is goal


def test_no_other_run_gets_the_lock_until_the_end(armed: OnTrial) -> None:
    """With --force-unlock either; the run's own confirm and undo do."""
    session: Any = armed.session
    for stale in (False, True):
        with pytest.raises(LockHeld, match=f"here has {RUN} on trial. `invoke confirm {RUN}`"):
            lock.acquire(session, Owner("me", "here", "next", "now"), stale=stale)
    owner = Owner("me", "here", RUN, "now")
    lock.acquire(session, owner, stale=False, trial=RUN)
    lock.release(session, owner)
    armed.time_is_over()
    lock.acquire(session, Owner("me", "here", "next", "now"), stale=False)


def test_a_trial_that_cannot_begin_leaves_nothing(on_trial: OnTrial) -> None:
    on_trial.session.units.chmod(0o777)
    before = on_trial.listing()
    with pytest.raises(StepFailed, match="nothing was changed, because the trial could not begin"):
        begin(on_trial)
    assert on_trial.listing() == before
    assert not (on_trial.folder / "trial").exists()
    assert not (on_trial.host.top / "hale/trial").exists()
    assert on_trial.reply(TrialState.CONFIRMED).state is TrialState.NONE


def test_the_order_is_that_of_an_undo() -> None:
    """Files and links before units, units before values; the links that `disable` removed too."""
    changes: tuple[Action, ...] = (
        FileEdit("/etc/f", (AppendLine("b"),), "why"),
        KernelValueChange("/proc/a", "0", "1", "why"),
        UnitChange("x.service", UnitAction.STOP, "active", "", "why"),
        UnitChange("x.service", UnitAction.DISABLE, "", "enabled", "why"),
    )
    steps = {
        n: PreparedStep(Step(("SYS-X",), change), f"/runs/{n}", "", ())
        for n, change in enumerate(changes, 1)
    }
    calls = [
        line.split()[:3]
        for line in trial.program(RUN, steps).splitlines()
        if line.startswith(("undo ", "undo_links ", "settle "))
    ]
    assert [(name, folder[-1]) for name, folder, _ in calls] == [
        *(("settle", n) for n in "4321"),
        ("undo", "1"), ("undo_links", "4"), ("undo", "3"), ("undo", "2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90s", 90), ("1m", 60), ("10m", 600), ("2h", 7200), ("24h", 86400)]
)
def test_a_window(typed: str, seconds: int) -> None:
    assert trial.parse_window(typed) == seconds


@pytest.mark.parametrize(
    "typed", ["", "10", "59s", "0m", "25h", "1441m", "-5m", "5 m", "1d", "٣m", "1m\n", "999999999h"]
)
def test_what_is_no_window(typed: str) -> None:
    with pytest.raises(UserError, match="from 1m to 24h"):
        trial.parse_window(typed)


def _plan(*effects: Impact) -> Plan:
    change = FileEdit("/etc/f", (AppendLine("b"),), "why", effects)
    host = HostPlan("h", "", (Step(("SYS-X",), change),), (), ())
    return Plan(plan.SCHEMA, "a", "", "", "", "", "baseline", (host,))


@pytest.mark.parametrize(
    ("made", "status", "reason"),
    [
        (_plan(Impact.NEEDS_REBOOT), NodeStatus(False, ""), "only after a reboot"),
        (_plan(Impact.IRREVERSIBLE), NodeStatus(False, ""), "cannot be undone"),
        (_plan(), NodeStatus(True, "/etc/kubernetes/pki/ca.crt"), "is part of a cluster"),
        (_plan(), NodeStatus(False, "/var/lib/kubelet/config.yaml"), "is part of a cluster"),
    ],
)
def test_a_plan_that_a_host_cannot_undo_is_refused(
    made: Plan, status: NodeStatus, reason: str
) -> None:
    with pytest.raises(UserError, match=f"nothing was changed: --try is refused.*{reason}"):
        trial.check_plan(made, {"h": status})


def test_other_plans_are_not() -> None:
    trial.check_plan(_plan(Impact.DISRUPTS_TRAFFIC), {"h": NodeStatus(False, "")})


@pytest.mark.parametrize(
    "output",
    [
        b"", b"fine 2026-11-30T02:14:45Z\n", b"undone yesterday\n", b"undone\nx y\n", b"\xff\n",
        b"undone\nrefused 1 @@\n", b"undone\nrefused 1 " + base64.b64encode(b"x") + b" y\n",
    ],
)  # fmt: skip
def test_an_answer_that_is_none(output: bytes) -> None:
    class Liar:
        target = Target("h")

        def run(self, *_: Any) -> CommandResult:
            return CommandResult(0, output, b"", 0.0)

    liar: Any = Liar()
    with pytest.raises(StepFailed, match="h gave an answer that is not one"):
        trial.end(liar, RUN, None)
