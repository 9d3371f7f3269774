"""The commands that a report offers next, as the operator of its run would type them."""

import shlex
from collections.abc import Iterable, Sequence

from hale.model.results import Results
from hale.model.verdict import Verdict
from hale.report.text import escape_controls

MAX_NAMED = 5  # hosts that a command names one by one
ALL = "all"


def fix(found: Results, requirements: Iterable[str], hosts: Sequence[str] = ()) -> str:
    """`invoke fix`, which shows the plan. hosts: those of the run where there are none or many."""
    words = ["invoke", "fix", f"--inventory={found.run.inventory}"]
    words.append(f"--only={','.join(requirements)}")
    if 0 < len(hosts) <= MAX_NAMED:
        words.append(f"--hosts={','.join(hosts)}")
    elif found.run.hosts_expression not in ("", ALL):
        words.append(f"--hosts={found.run.hosts_expression}")
    return escape_controls(shlex.join(words))


def fixable(found: Results) -> list[str]:
    """The requirements of which `invoke fix` can fix a failed result."""
    fixed = {(one.requirement, a) for one in found.guidance for a in one.fixed_aspects}
    failed = (r for r in found.results if r.verdict is Verdict.FAIL)
    return list(dict.fromkeys(r.requirement for r in failed if (r.requirement, r.aspect) in fixed))


def following(found: Results) -> list[tuple[str, str]]:
    """(command, what it does) of what is worth typing next; nothing where nothing failed."""
    failed = [row for row in found.results if row.verdict.failed]
    if not failed:
        return []
    automatic = fixable(found)
    only_by_hand = list(
        dict.fromkeys(
            r.requirement
            for r in failed
            if r.verdict is Verdict.FAIL and r.requirement not in automatic
        )
    )
    offered = []
    if automatic and found.guidance:
        count = len(automatic)
        what = f"the plan for {count} requirement{'' if count == 1 else 's'}; changes nothing"
        offered.append((fix(found, automatic), what))
    if only_by_hand:
        more = f", and {len(only_by_hand) - 1} more by hand" if len(only_by_hand) > 1 else ""
        offered.append((f"invoke explain {only_by_hand[0]}", f"how to fix it by hand{more}"))
    elif not automatic:
        offered.append((f"invoke explain {failed[0].requirement}", "what is read, and how"))
    return offered
