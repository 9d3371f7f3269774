"""results.json on disk. docs/results.md describes it; hale/model/results.py has its structs.

Since hale.results/2 whatever many rows share stands in the file once: a requirement's texts, what
was read, and its text. Files of hale.results/1, which repeat them in each row, are read as well.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from hale.files import atomic, versioned
from hale.model.comparison import DriftRecord
from hale.model.errors import Location, UserError
from hale.model.notice import Notice
from hale.model.results import (
    SCHEMA,
    ConfigLineRecord,
    EarlierRun,
    EvidenceExcerpt,
    Guidance,
    HostRecord,
    OverrideRecord,
    ReferenceRecord,
    Result,
    Results,
    RowKey,
    Run,
    SiteCheck,
)
from hale.model.verdict import Verdict
from hale.model.waiver import WaiverRecord, WaiverState
from hale.redact import redact

SCHEMA_1 = "hale.results/1"
Number = Annotated[int, msgspec.Meta(ge=0)]  # of an element of a table
#: Fields of a Result that are the requirement's own.
SHARED = ("chapter", "title", "subject", "severity", "profile")


class StatedRequirement(msgspec.Struct, frozen=True):
    """What all rows of a requirement have in common."""

    requirement: str
    chapter: int
    title: str
    subject: str
    severity: str
    profile: str


class Reading(msgspec.Struct, frozen=True):
    """What was read once, for any number of rows. output: a number of `texts`."""

    probe: str
    exit_status: int | None
    output: Number
    read_at: str


class RowFields(msgspec.Struct, omit_defaults=True):
    """One row. stated: a number of `requirements`; evidence: numbers of `readings`."""

    host: str
    requirement: str
    aspect: str
    verdict: Verdict
    stated: Number
    expected: str
    actual: str
    test: str
    duration: float = 0.0
    reboot_proven: bool = False
    overrides: list[OverrideRecord] = []
    settings: list[ConfigLineRecord] = []
    evidence: list[Number] = []
    log: str = ""
    waiver: WaiverRecord | None = None
    value: str = ""


class SavedResults(msgspec.Struct):
    """The file, in this order."""

    schema: str
    run: Run
    hosts: list[HostRecord]
    requirements: list[StatedRequirement]
    results: list[RowFields]
    readings: list[Reading]
    texts: list[str]
    deselected: list[RowKey]
    site_checks: list[SiteCheck] = []
    waivers: list[WaiverState] = []
    references: list[ReferenceRecord] = []
    guidance: list[Guidance] = []
    notices: list[Notice] = []
    drift: DriftRecord | None = None
    history: list[EarlierRun] = []


def save_results(
    results: Results, path: Path, write: Callable[[Path, bytes], None] = atomic.write
) -> None:
    """Write the file in one step, so that it is never there in part."""
    write(path, encode_results(results))


def encode_results(results: Results) -> bytes:
    """The content of results.json: one element of an array a line."""
    saved = saved_results(results)
    try:
        return b"".join(_pieces(msgspec.structs.asdict(saved)))
    except UnicodeEncodeError:  # Python's stand-ins for bytes of paths and arguments
        return b"".join(_pieces(_encodable(msgspec.to_builtins(saved))))


def _pieces(fields: Mapping[str, Any]) -> Iterator[bytes]:
    encode = msgspec.json.Encoder().encode
    before = b"{\n"
    for name, value in fields.items():
        yield before + encode(name) + b": "
        before = b",\n"
        if isinstance(value, list):
            yield b"[\n" + b",\n".join(map(encode, value)) + b"\n]" if value else b"[]"
        else:
            yield msgspec.json.format(encode(value), indent=1)
    yield b"\n}\n"


class _Numbers:
    """Numbers for values, each of which is kept once, in order."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}

    def of(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    @property
    def values(self) -> list[Any]:
        return list(self._numbers)


def saved_results(results: Results) -> SavedResults:
    """The results as the file has them."""
    stated, readings, texts = _Numbers(), _Numbers(), _Numbers()
    known: dict[EvidenceExcerpt, int] = {}

    def reading(one: EvidenceExcerpt) -> int:
        if one not in known:
            kept = Reading(one.probe, one.exit_status, texts.of(one.output), one.read_at)
            known[one] = readings.of(kept)
        return known[one]

    rows = [
        RowFields(
            row.host,
            row.requirement,
            row.aspect,
            row.verdict,
            stated.of(
                StatedRequirement(
                    row.requirement, row.chapter, row.title, row.subject, row.severity, row.profile
                )
            ),
            row.expected,
            row.actual,
            row.test,
            row.duration,
            row.reboot_proven,
            row.overrides,
            row.settings,
            [reading(one) for one in row.evidence],
            row.log,
            row.waiver,
            row.value,
        )
        for row in results.results
    ]
    same = {f.name: getattr(results, f.name) for f in _common()}
    return SavedResults(
        requirements=stated.values,
        results=rows,
        readings=readings.values,
        texts=texts.values,
        **same,
    )


def _common() -> Iterable[msgspec.structs.FieldInfo]:
    """The fields that the file has as they are."""
    own = {f.name for f in msgspec.structs.fields(SavedResults)}
    return (f for f in msgspec.structs.fields(Results) if f.name in own and f.name != "results")


def _encodable(value: Any) -> Any:
    """The same with `\\udcff` spelled out, wherever a byte was not UTF-8."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_encodable(one) for one in value]
    return value


def without_secrets(run: Run) -> Run:
    """The run with passwords of the command line masked: `--hosts=ssh://root:…@host`."""
    return msgspec.structs.replace(
        run,
        command_line=[redact(word) for word in run.command_line],
        hosts_expression=redact(run.hosts_expression),
        metadata={redact(name): redact(value) for name, value in run.metadata.items()},
    )


def load_results(path: Path) -> Results:
    """Read a results file. Raises UserError if it is no results file or of another version."""
    return parse_results(versioned.read(path, "results"), path)


def parse_results(raw: bytes, path: Path) -> Results:
    """The results of a file that was read. Raises UserError as `load_results` does."""
    if versioned.schema_of(raw, path, "results") == SCHEMA_1:
        earlier = versioned.parse(raw, path, Results, SCHEMA_1, "results")
        earlier.schema = SCHEMA
        return earlier
    saved = versioned.parse(raw, path, SavedResults, SCHEMA, "results")
    try:
        return _results(saved)
    except IndexError:
        raise UserError(
            "not a Hale results file: a row refers to an element that is not there. If it was "
            "copied, copy it again from its folder in reports/.",
            Location(path),
        ) from None


def _results(saved: SavedResults) -> Results:
    """Raises IndexError for a number without its element."""
    readings = [
        EvidenceExcerpt(one.probe, one.exit_status, saved.texts[one.output], one.read_at)
        for one in saved.readings
    ]
    rows = []
    for row in saved.results:
        stated = saved.requirements[row.stated]
        fields = msgspec.structs.asdict(row) | {n: getattr(stated, n) for n in SHARED}
        del fields["stated"]
        fields["evidence"] = [readings[number] for number in row.evidence]
        rows.append(Result(**fields))
    same = {f.name: getattr(saved, f.name) for f in _common()}
    return Results(results=rows, **same)
