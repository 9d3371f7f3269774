"""`python -m bench audit`: the time of an audit, against a floor and against stock testinfra.

`python -m bench fix` measures remediation against ansible-core and pyinfra (bench/fix.py);
`python -m bench failover` and `python -m bench install` need a cluster (bench/failover.py,
bench/install.py).

All contenders run side by side: a round runs each of them, and the results are medians, and
ratios of runs next to each other in time. Stock testinfra, which takes two minutes a run, runs in
the first round only. A contender that judges other tests than the audit, or judges them
differently, ends the benchmark; Ctrl-C prints the ratio to the floor by the runs until then.

Exit status: 0 targets reached, 1 a target missed, 2 nothing could be measured.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from bench import fix, report
from bench.compliant_hosts import make_compliant
from bench.contenders import MIN_TESTS, BenchLab, Contender, RunFailed, RunResult, contenders, run
from bench.ratios import Disagreement, Series, compare, repeats
from hale.paths import ROOT
from lab.machine import LabError, LabUnavailable, running_lab

# One round. Each of the short contenders runs next to the others, so that a burst of other work on
# the machine does not affect only one of them.
SHORT = ("audit", "floor", "reports", "lean")
ROUND = (*SHORT, "plain", *SHORT, "full", *SHORT)
# After the first round: three minutes on a quiet machine.
SLOW = ("control", "paramiko", "stock")
ROUNDS = 3
RESULTS = ROOT / "bench" / "results.md"
QUICK_ROUNDS = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=("audit", "fix"), nargs="?", default="audit")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, help=f"how many rounds (default: {ROUNDS})"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"only {QUICK_ROUNDS} round; bench/results.md stays as it is",
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    console = Console(highlight=False)
    rounds = QUICK_ROUNDS if options.quick else options.rounds
    try:
        # If we are killed, the next lab removes the one of this name.
        with (
            tempfile.TemporaryDirectory(prefix="hale-bench-") as folder,
            running_lab(f"test-{os.getpid()}-bench", console.print) as lab,
        ):
            arena = BenchLab(lab, Path(folder))
            if options.what == "fix":
                return _fix(arena, rounds, options.quick, console)
            make_compliant(lab)
            measured = _measure(arena, rounds, console)
    except KeyboardInterrupt:
        console.print("stopped; the lab is removed")
        return 130
    except (LabUnavailable, LabError, RunFailed, Disagreement) as error:
        console.print(f"nothing measured: {error}", style="red", markup=False)
        return 2
    console.print()
    console.print(report.table(measured))
    for verdict in report.verdicts(measured):
        console.print(str(verdict), style="green" if verdict.reached else "bold red")
    if options.quick:
        console.print(f"--quick: {QUICK_ROUNDS} round, results.md not written")
    else:
        report.write_section(RESULTS, report.TITLE, report.markdown(measured))
        console.print("written: bench/results.md")
    return 0 if all(verdict.reached for verdict in report.verdicts(measured)) else 1


def _fix(arena: BenchLab, rounds: int, quick: bool, console: Console) -> int:
    timings = fix.measure(arena, rounds, lambda: os.getloadavg()[0], console)
    console.print()
    console.print(fix.table(timings))
    for verdict in fix.verdicts(timings):
        console.print(str(verdict), style="green" if verdict.reached else "bold red")
    if not quick:
        report.write_section(RESULTS, fix.TITLE, fix.markdown(timings))
        console.print("written: bench/results.md")
    return 0 if all(verdict.reached for verdict in fix.verdicts(timings)) else 1


def _measure(arena: BenchLab, rounds: int, console: Console) -> report.AuditTimings:
    everybody = contenders(arena)
    load = os.getloadavg()[0]
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("warming up", total=None)
        once = run(everybody[0], arena)
        arena.repeat = repeats(once.tests, MIN_TESTS)
        arena.tests = once.tests * arena.repeat
        console.print(
            f"{once.tests} tests of chapters 4 to 9 on {len(arena.hosts)} hosts, "
            f"{arena.repeat} times: {arena.tests} tests"
        )
        plan = [[*ROUND, *(SLOW if number == 0 else ())] for number in range(rounds)]
        progress.update(task, total=sum(map(len, plan)) + 2)
        # Compile the bytecode that is missing.
        for contender in everybody[:2]:
            run(contender, arena)
            progress.advance(task)
        by_key = {contender.key: contender for contender in everybody}
        done: dict[str, list[list[RunResult]]] = {key: [] for key in by_key}
        try:
            for number, keys in enumerate(plan, 1):
                for key in dict.fromkeys(keys):
                    done[key].append([])
                for key in keys:
                    contender = by_key[key]
                    label = f"round {number} of {rounds}: {contender.title}"
                    progress.update(task, description=label)
                    one = _checked(contender, arena, once)
                    done[key][-1].append(one)
                    console.print(f"  round {number}  {one.seconds:8.3f} s  {contender.title}")
                    progress.advance(task)
        except KeyboardInterrupt:
            show_until_now(done, console)
            raise
    return report.AuditTimings(
        titles={contender.key: contender.title for contender in everybody},
        done=done,
        tests=arena.tests,
        hosts=len(arena.hosts),
        repeat=arena.repeat,
        load=(load, os.getloadavg()[0]),
        ended=time.time(),
    )


def show_until_now(done: Mapping[str, Sequence[Sequence[RunResult]]], console: Console) -> None:
    """The ratio to the floor by the runs that there are, if the measurement is stopped."""
    both = [(a, f) for a, f in zip(done["audit"], done["floor"], strict=True) if a and f]
    if both:
        audit, floor = (
            Series(tuple(tuple(one.seconds for one in runs) for runs in series))
            for series in zip(*both, strict=True)
        )
        console.print(str(report.floor_verdict(audit, floor)))


def _checked(contender: Contender, arena: BenchLab, reference: RunResult) -> RunResult:
    """One run; raises Disagreement if it did not judge what the audit judges."""
    done = run(contender, arena)
    if contender.key != "full" and done.tests != arena.tests:
        raise Disagreement(f"{contender.title}: {done.tests} tests instead of {arena.tests}")
    if done.verdicts is not None and reference.verdicts is not None:
        compare(contender.title, done.verdicts, reference.verdicts)
    return done


if __name__ == "__main__":
    if sys.argv[1:2] in (["failover"], ["install"]):
        from bench import failover, install

        alone = {"failover": failover.main, "install": install.main}[sys.argv[1]]
        sys.exit(alone(sys.argv[2:]))
    sys.exit(main())
