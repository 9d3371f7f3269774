"""OSCAL 1.1 assessment results, as JSON, for the tools of a security plan.

https://pages.nist.gov/OSCAL/concepts/layer/assessment/assessment-results/. Each row is an
observation; each row but those of N-A is also a finding, whose state is `satisfied` for PASS only.
WAIVED is a finding that is not satisfied, with a risk of the status `deviation-approved`. All IDs
are derived from the run, so that the same run always gives the same document.
"""

import re
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from hale.audit.waivers import CLUSTER
from hale.model.results import HostRecord, Result, Results
from hale.model.verdict import Verdict
from hale.report.markdown import code
from hale.report.matrix import columns
from hale.report.references import label, references_of
from hale.report.text import shorten
from hale.report.times import utc_time

VERSION = "1.1.2"
NAMESPACE = "urn:hale:results"  # of the properties that are Hale's own
NO_TIME = "1970-01-01T00:00:00.000Z"  # where the run has none: the standard demands one
REASONS = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}
MOST = 1000  # characters of a text

Json = dict[str, Any]


def render(found: Results) -> str:
    """The document. All text that comes from outside stands in Markdown's code spans."""
    document = {"assessment-results": _Document(found).content()}
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


class _Document:
    def __init__(self, found: Results) -> None:
        self._found = found
        run = found.run
        origin = "\0".join((run.kind, run.started, run.inventory_sha256, run.source_host))
        self._origin = uuid.uuid5(uuid.NAMESPACE_URL, _encodable(origin))
        self._started = utc_time(run.started) or NO_TIME
        self._ended = utc_time(run.ended)
        self._references = references_of(found)

    def content(self) -> Json:
        run = self._found.run
        plan = self._id("plan")
        return {
            "uuid": self._id("document"),
            "metadata": {
                "title": f"Hale {code(run.kind)}",
                "last-modified": self._ended or self._started,
                "version": _word(run.started) or "0",
                "oscal-version": VERSION,
            },
            "import-ap": {"href": f"#{plan}"},
            "results": [self._result()],
            "back-matter": {
                "resources": [
                    {
                        "uuid": plan,
                        "title": "The baseline, profile and inventory of this run",
                        "props": _props(
                            {
                                "profile": run.profile,
                                "inventory": run.inventory,
                                "inventory-sha256": run.inventory_sha256,
                                "standard-sha256": run.standard_sha256,
                                "overrides-sha256": run.overrides_sha256,
                                "hosts": run.hosts_expression,
                                "version": run.version,
                            }
                        ),
                    }
                ]
            },
        }

    def _result(self) -> Json:
        run, rows = self._found.run, self._found.results
        risks = [self._risk(row, n) for n, row in enumerate(rows) if row.waiver is not None]
        findings = [
            self._finding(row, n)
            for n, row in enumerate(rows)
            if row.verdict is not Verdict.NOT_APPLICABLE
        ]
        notes = [f"INCOMPLETE: {code(reason)}" for reason in run.incomplete]
        if run.state != "finished":
            notes.insert(0, "INTERRUPTED: results that no test judged are UNKNOWN")
        lists = {
            "observations": [self._observation(row, n) for n, row in enumerate(rows)],
            "risks": risks,
            "findings": findings,
        }
        return {
            "uuid": self._id("result"),
            "title": f"Hale {code(run.kind)}",
            "description": "\n\n".join([f"{len(rows)} results.", *notes]),
            "start": self._started,
            **({"end": self._ended} if self._ended else {}),
            **self._hosts(),
            "reviewed-controls": {"control-selections": [self._controls()]},
            **{name: values for name, values in lists.items() if values},
            **({"remarks": "\n\n".join(notes)} if notes else {}),
        }

    def _hosts(self) -> Json:
        known = {host.name: host for host in self._found.hosts}
        items = [
            {
                "uuid": self._id("host", name),
                "description": code(name, MOST) or "-",
                "props": _props(_of_host(known.get(name, HostRecord(name)))),
            }
            for name in columns(self._found)
        ]
        return {"local-definitions": {"inventory-items": items}} if items else {}

    def _controls(self) -> Json:
        names = dict.fromkeys(_token(row.requirement) for row in self._found.results)
        if not names:
            return {"include-all": {}}
        return {"include-controls": [{"control-id": name} for name in names]}

    def _observation(self, row: Result, number: int) -> Json:
        values = {
            "host": row.host,
            "requirement": row.requirement,
            "aspect": row.aspect,
            "verdict": row.verdict.value,
            "severity": row.severity,
            "expected": row.expected,
        }
        return {
            "uuid": self._id("observation", str(number)),
            "title": f"{code(row.requirement)} {code(row.aspect)} on {code(row.host)}",
            "description": code(row.actual, MOST) or "-",
            "props": _props(values),
            "methods": ["TEST"],
            "subjects": [{"subject-uuid": self._id("host", row.host), "type": "inventory-item"}],
            "collected": self._ended or self._started,
        }

    def _finding(self, row: Result, number: int) -> Json:
        references = [label(one) for one in self._references.get(row.requirement, ())]
        risk = [{"risk-uuid": self._id("risk", str(number))}] if row.waiver is not None else []
        passed = row.verdict is Verdict.PASS
        return {
            "uuid": self._id("finding", str(number)),
            "title": f"{row.verdict}: {code(row.requirement)} {code(row.aspect)}",
            "description": code(row.title, MOST) or "-",
            **({"props": _props(dict.fromkeys(references), "reference")} if references else {}),
            "target": {
                "type": "objective-id",
                "target-id": _token(f"{row.requirement}.{row.aspect}"),
                "status": {
                    "state": "satisfied" if passed else "not-satisfied",
                    "reason": REASONS.get(row.verdict, "other"),
                },
            },
            "related-observations": [{"observation-uuid": self._id("observation", str(number))}],
            **({"related-risks": risk} if risk else {}),
        }

    def _risk(self, row: Result, number: int) -> Json:
        waiver = row.waiver
        fields: dict[str, str] = {} if waiver is None else msgspec.structs.asdict(waiver)
        end = utc_time(f"{fields.get('expires', '')}T23:59:59Z")
        return {
            "uuid": self._id("risk", str(number)),
            "title": f"Waiver of {code(row.requirement)} {code(row.aspect)} on {code(row.host)}",
            "description": code(row.actual, MOST) or "-",
            "statement": code(fields.get("reason", ""), MOST) or "-",
            "props": _props({n: v for n, v in fields.items() if n != "reason"}),
            "status": "deviation-approved",
            **({"deadline": end} if end else {}),
        }

    def _id(self, *names: str) -> str:
        return str(uuid.uuid5(self._origin, _encodable("\0".join(names))))


def _of_host(host: HostRecord) -> dict[str, str]:
    return {
        "name": host.name,
        "address": host.address,
        "os": host.os,
        "kernel": host.kernel,
        "machine-id": host.machine_id,
        "down": host.down,
        "kind": "cluster" if host.name == CLUSTER else "host",
    }


def _props(values: dict[str, str] | dict[str, None], name: str = "") -> list[Json]:
    """Properties; with `name`, one of that name for each key. None has an empty value."""
    pairs: Iterable[tuple[str, str | None]] = values.items()
    shown = ((name, key) if name else (key, value or "") for key, value in pairs)
    return [{"name": n, "ns": NAMESPACE, "value": _word(v)} for n, v in shown if _word(v)]


def _word(text: str) -> str:
    """A value of the type string: one line that neither begins nor ends with a blank."""
    return shorten(text, MOST).strip()


def _token(text: str) -> str:
    """A value of the type token: a letter or `_`, then letters, digits, `.`, `-` and `_`."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", text[:MOST])
    return plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
