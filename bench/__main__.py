"""`python -m bench audit`: how fast an audit is, against the floor and against stock testinfra.

`python -m bench fix`: how fast hosts are mended, against ansible-core and pyinfra (bench/mend.py).
`python -m bench failover` and `python -m bench install` have a cluster (their own files).

Everything is measured side by side in one run: a round runs each contender once, and what
counts are medians, and ratios between runs that were neighbours in time. A contender that judged
other tests than the audit, or judged differently, ends the benchmark.

Exit status: 0 targets reached, 1 a target missed, 2 nothing could be measured.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from bench import mend, page
from bench.contenders import LEAST_TESTS, Arena, Contender, Done, RunFailed, contenders, run
from bench.hosts import prepare
from bench.measured import Disagreement, compare, repeats
from hale.paths import ROOT
from lab.machine import LabError, LabUnavailable, raised

# One round. What takes a second only is run before each of the long ones, so that a burst of
# other work on the machine does not hit it alone; each run is compared with its neighbours.
SHORT = ("audit", "floor", "reports")
ROUND = (*SHORT, "whole", "control", *SHORT, "paramiko", *SHORT, "stock")
SLOW = "stock"
RESULTS = ROOT / "bench" / "results.md"
QUICK_ROUNDS = 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=("audit", "fix"), nargs="?", default="audit")
    parser.add_argument("--rounds", type=int, default=5, help="how many rounds (default: 5)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"only {QUICK_ROUNDS} round of the slowest contender; bench/results.md stays as it is",
    )
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    console = Console(highlight=False)
    try:
        # A lab of this name is swept by the next one, should we be killed.
        with (
            tempfile.TemporaryDirectory(prefix="hale-bench-") as folder,
            raised(f"test-{os.getpid()}-bench", console.print) as lab,
        ):
            arena = Arena(lab, Path(folder))
            if options.what == "fix":
                return _mend(arena, options.rounds, options.quick, console)
            prepare(lab)
            measured = _measure(arena, options.rounds, options.quick, console)
    except KeyboardInterrupt:
        console.print("stopped; the lab is taken down")
        return 130
    except (LabUnavailable, LabError, RunFailed, Disagreement) as error:
        console.print(f"nothing measured: {error}", style="red", markup=False)
        return 2
    console.print()
    console.print(page.table(measured))
    for verdict in page.verdicts(measured):
        console.print(str(verdict), style="green" if verdict.reached else "bold red")
    if options.quick:
        console.print(f"--quick: {QUICK_ROUNDS} round of {SLOW}, results.md not written")
    else:
        page.put(RESULTS, page.TITLE, page.markdown(measured))
        console.print("written: bench/results.md")
    return 0 if all(verdict.reached for verdict in page.verdicts(measured)) else 1


def _mend(arena: Arena, rounds: int, quick: bool, console: Console) -> int:
    mended = mend.measure(
        arena, QUICK_ROUNDS if quick else rounds, lambda: os.getloadavg()[0], console
    )
    console.print()
    console.print(mend.table(mended))
    for verdict in mend.verdicts(mended):
        console.print(str(verdict), style="green" if verdict.reached else "bold red")
    if not quick:
        page.put(RESULTS, mend.TITLE, mend.markdown(mended))
        console.print("written: bench/results.md")
    return 0 if all(verdict.reached for verdict in mend.verdicts(mended)) else 1


def _measure(arena: Arena, rounds: int, quick: bool, console: Console) -> page.Measured:
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
        arena.repeat = repeats(once.tests, LEAST_TESTS)
        arena.tests = once.tests * arena.repeat
        console.print(
            f"{once.tests} tests of chapters 4 to 9 on {len(arena.hosts)} hosts, "
            f"{arena.repeat} times: {arena.tests} tests"
        )
        plan = [
            [key for key in ROUND if not (quick and key == SLOW and number > QUICK_ROUNDS)]
            for number in range(1, rounds + 1)
        ]
        progress.update(task, total=sum(map(len, plan)) + 2)
        # Compiles what is not yet compiled.
        for contender in everybody[:2]:
            run(contender, arena)
            progress.advance(task)
        by_key = {contender.key: contender for contender in everybody}
        done: dict[str, list[list[Done]]] = {key: [] for key in by_key}
        for number, keys in enumerate(plan, 1):
            for key in dict.fromkeys(keys):
                done[key].append([])
            for key in keys:
                contender = by_key[key]
                progress.update(task, description=f"round {number} of {rounds}: {contender.title}")
                one = _checked(contender, arena, once)
                done[key][-1].append(one)
                console.print(f"  round {number}  {one.seconds:8.3f} s  {contender.title}")
                progress.advance(task)
    return page.Measured(
        titles={contender.key: contender.title for contender in everybody},
        done=done,
        tests=arena.tests,
        hosts=len(arena.hosts),
        repeat=arena.repeat,
        load=(load, os.getloadavg()[0]),
        ended=time.time(),
    )


def _checked(contender: Contender, arena: Arena, reference: Done) -> Done:
    """One run; raises Disagreement if it did not judge what the audit judges."""
    done = run(contender, arena)
    if contender.key != "whole" and done.tests != arena.tests:
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
