"""A step whose original state is backed up on the host, and how a step can fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hale.plan.plan import Step

HOME = "/var/lib/hale"
RUNS = f"{HOME}/runs"

# Exit statuses of a step's scripts (step.sh).
UNCHANGED, PRECONDITION_FAILED, NOT_APPLIED = 40, 41, 42


class PreconditionFailed(Exception):
    """A precondition no longer holds; the text says which. Nothing was changed."""


class StepFailed(Exception):
    """The host could not do it; the text is the host's. The old state is intact."""


class UndoUnknown(Exception):
    """The step was applied, but the host's answer does not give the changes that undo it."""


@contextmanager
def answers_parsed(host: str) -> Iterator[None]:
    """An answer that cannot be parsed is the host's failure, not Hale's. Raises StepFailed."""
    try:
        yield
    except (ValueError, LookupError) as error:
        raise StepFailed(
            f"{host} gave an answer that is not one ({error}): see whether base64, sha256sum and "
            "the shell there are the distribution's"
        ) from None


@dataclass(frozen=True)
class PreparedStep:
    """A step that is ready to be applied.

    folder: its backup on the host. after: SHA-256 of the file's content as the step leaves it;
    ABSENT for anything else. notes: lines of the backup script: `folder PATH` that has to be made,
    `priority N` of a swap device, `was PATH VALUE` of a value that another one overrides.
    """

    step: Step
    folder: str
    after: str
    notes: tuple[str, ...]

    def noted(self, name: str) -> Iterator[str]:
        """What the notes of that name say."""
        for note in self.notes:
            word, _, rest = note.partition(" ")
            if word == name:
                yield rest
