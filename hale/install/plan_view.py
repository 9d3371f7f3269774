"""`invoke install --plan`: how each phase stands, and what it would do."""

from rich.console import Console
from rich.text import Text

from hale import ssh
from hale.audit import recorder
from hale.install import preflight
from hale.install.engine import Engine, PhaseStatus
from hale.install.observe import HostsUnreachable
from hale.install.phase import Problems
from hale.install.running import InstallOptions, check_reachable, headline, load_cluster_context
from hale.install.workflow import AUDIT, GATE, selected_phases
from hale.inventory import ini
from hale.model.errors import UserError
from hale.report.text import escape_controls


def print_plan(asked: InstallOptions) -> None:
    """Print each phase, done or not, and what it would do. Changes nothing."""
    known = ini.load_inventory(asked.path)
    built = load_cluster_context(known)
    console = Console(highlight=False, soft_wrap=True)
    chosen = selected_phases(asked)
    check_reachable(known)
    if GATE in chosen:
        folder = recorder.create_run_dir(asked.reports, "plan")
        found = preflight.run_preflight(known.path, folder, asked.ignore_preflight_errors)
        red = [*found.fixable, *found.blocking]
        console.print(
            headline("-" if found.open else "▶", GATE, "Host requirements", "" if red else "done")
        )
        for text in preflight.render(red):
            console.print(Text(f"    {escape_controls(text)}"))
    try:
        planned = Engine(built, NullListener()).plan([n for n in chosen if n not in (GATE, AUDIT)])
    except HostsUnreachable as error:
        raise UserError(str(error)) from None
    finally:
        ssh.close_sessions()
    for one in planned:
        _print_planned(console, one)
    if AUDIT in chosen:
        console.print(headline("▶", AUDIT, "Audit of everything", ""))
    console.print("\nNothing is changed.")


def _print_planned(console: Console, one: PhaseStatus) -> None:
    if one.skip_reason:
        console.print(headline("-", one.name, one.title, f"not ours: {one.skip_reason}"))
        return
    if one.unknown and not one.remaining:
        console.print(headline("?", one.name, one.title, one.unknown))
        return
    console.print(
        headline(
            "▶" if one.remaining else "-", one.name, one.title, "" if one.remaining else "done"
        )
    )
    for text in _group_hosts(one.remaining):
        console.print(Text(f"    left: {escape_controls(text)}"))
    for text in one.problems:
        console.print(Text(f"    in the way: {escape_controls(text)}", "red"))
    for text in one.steps:
        console.print(Text(f"    would: {escape_controls(text)}", "dim"))
    if one.unknown:
        console.print(Text(f"    cannot be told yet: {escape_controls(one.unknown)}", "dim"))


def _group_hosts(problems: Problems) -> list[str]:
    """One line for each detail, with all the hosts that have it."""
    hosts: dict[str, list[str]] = {}
    for problem in problems:
        hosts.setdefault(problem.detail, []).extend(filter(None, [problem.host]))
    return [f"{', '.join(names)}: {detail}" if names else detail for detail, names in hosts.items()]


class NullListener:
    """Tells nothing: for a plan, which does nothing."""

    def phase(self, *_: object) -> None:
        pass

    def step(self, *_: object) -> None:
        pass

    def output_line(self, *_: object) -> None:
        pass

    def waiting(self, *_: object) -> None:
        pass

    def notice(self, *_: object) -> None:
        pass
