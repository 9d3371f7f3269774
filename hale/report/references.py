"""The rules of other benchmarks about the same thing as a requirement, as reports name them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hale.model.results import ReferenceRecord, Results

References = Mapping[str, Sequence[ReferenceRecord]]


def references_of(found: Results) -> References:
    """The references by requirement, in the order of results.json; no key for one without any."""
    known: defaultdict[str, list[ReferenceRecord]] = defaultdict(list)
    for reference in found.references:
        known[reference.requirement].append(reference)
    return dict(known)


def label(reference: ReferenceRecord) -> str:
    """The rule in a line: `CIS Debian Linux 12 3.3.1 (conflicting)`."""
    return f"{reference.benchmark} {reference.id} ({reference.relation})"
