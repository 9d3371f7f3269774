"""`invoke judge`: saved evidence judged again and reported, without pytest; contacts no host."""

from pathlib import Path

from hale.audit import evidence_file
from hale.audit.recorder import create_run_dir
from hale.audit.run import judge_saved
from hale.cli import run_folder
from hale.files import signature
from hale.inventory import ini
from hale.model.results import Results
from hale.paths import ROOT
from hale.report import audits
from hale.standard import loader


def judge(run: str, inventory: Path | None, reports: Path) -> tuple[Results, Path]:
    """The results, and the new folder of `reports` that has them and their reports.

    run: a folder of `reports` that has an evidence.json, the path of one, or of the file.
    inventory: None for the one that the evidence was gathered with. Raises UserError.
    """
    path = run_folder.find_file(run, reports, "evidence.json")
    saved = evidence_file.load_evidence(path)
    known = ini.load_inventory(inventory or Path(saved.inventory))
    standard = loader.load_standard(ROOT / "standard")
    folder = create_run_dir(reports, "audit")
    found = judge_saved(saved, path, known, standard, folder)
    audits.write_reports(found.results, folder)
    signature.seal(folder)
    return found.results, folder
