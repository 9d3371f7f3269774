"""Report formats: each renders text from a run's results alone.

A new format is a module with a `render` and its line in `FORMATS`; docs/results.md lists them.
"""

from collections.abc import Callable, Mapping

from hale.audit.results_file import encode_results
from hale.model.results import Results
from hale.report import (
    csv_table,
    html,
    junit,
    markdown,
    openreports,
    oscal,
    prometheus,
    sarif,
    xccdf,
)
from hale.report.text import encode

__all__ = ["FORMATS", "Renderer", "encode"]

Renderer = Callable[[Results], str]


def _json(found: Results) -> str:
    return encode_results(found).decode()


FORMATS: Mapping[str, Renderer] = {
    "csv": csv_table.render,
    "html": html.render,
    "json": _json,
    "junit": junit.render,
    "markdown": markdown.render,
    "openreports": openreports.render,
    "oscal": oscal.render,
    "prometheus": prometheus.render,
    "sarif": sarif.render,
    "xccdf": xccdf.render,
}
