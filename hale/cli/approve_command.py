"""`invoke approve`: sign a saved plan, or verify its signature."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from hale.cli import options


@task(
    klass=options.Command,
    positional=["plan"],
    help={
        "plan": "the file that `fix --out` or `install --plan --out` has saved",
        "key": "the approver's ssh key, or the .pub of one in ssh-agent (default: $HALE_SIGN_KEY)",
        "verify": "sign nothing: print whose signature the plan has, and what it is worth",
        "inventory": "allowed_signers stands beside it (default: the plan's own inventory)",
    },
)
def approve(
    _: Context, plan: str, key: str = "", verify: bool = False, inventory: str = ""
) -> None:
    """Approve a saved plan: sign it with your ssh key. --verify verifies a signature.

    The signature is written to FILE.sig; applying the plan verifies it. The approver is not the
    author of the plan. The exit status is 1 if nothing was signed, or the signature is not good.
    """
    from hale.cli import approve as approval

    path = Path(inventory) if inventory else None
    if verify:
        text, status = approval.verify(Path(plan), path)
    else:
        text, status = approval.approve(Path(plan), key, path), 0
    print(text, end="")
    raise Exit(code=status)
