"""Notices as a sentence, the same in every report."""

from collections.abc import Iterable

from hale.model.lifetime import KUBERNETES
from hale.model.notice import Notice, NoticeState
from hale.model.results import Result
from hale.report.text import fold_hostnames

_MILESTONES = {"deprecated": "deprecated", "disabled": "off by default", "until": "gone"}


def sentence(notice: Notice) -> str:
    """The notice with its hosts, its source and what to do."""
    hosts = fold_hostnames(notice.hosts)
    if notice.state is NoticeState.UNKNOWN_VERSION:
        return (
            f"{hosts}: the version of Kubernetes is unknown: no kubelet runs, and the inventory "
            "sets no kubernetes_version. The baseline's own values count, and nothing that begins "
            "with a version"
        )
    product = "Kubernetes" if notice.product == KUBERNETES else notice.product
    if notice.state is NoticeState.FAILS:
        text = f"fails from {product} {notice.version} on: {notice.what}"
    else:
        ends = [
            f"{word} from {version} on"
            for field, word in _MILESTONES.items()
            if (version := getattr(notice, field))
        ]
        text = f"{notice.what}: {product} has it {', '.join(ends)}"
    instead = f". Instead: {notice.instead}" if notice.instead else ""
    used = f"{notice.used} is in use ({notice.source})"
    return f"{notice.requirement} ({hosts}): {text}; {used}{instead}"


def of_row(row: Result, notices: Iterable[Notice]) -> list[Notice]:
    """The notices about the row's requirement on its host."""
    return [n for n in notices if n.requirement == row.requirement and row.host in n.hosts]
