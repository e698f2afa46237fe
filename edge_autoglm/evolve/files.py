"""The report on disk."""

from __future__ import annotations

import json
from pathlib import Path

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.errors import EvolveError
from edge_autoglm.evolve.page import page
from edge_autoglm.evolve.report import EvolveReport


def write_report(report: EvolveReport, folder: Path) -> None:
    """Write ``report.json`` and ``report.md``.

    Raises:
        EvolveError: The folder cannot be written to.
    """
    figures = json.dumps(report.to_json(), indent=1, ensure_ascii=False, default=str) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("report.json", figures), ("report.md", page(report))):
            write_bytes_atomic(folder / name, text.encode())
    except OSError as error:
        cause = f"the report cannot be written to {folder}: {error.strerror or error}"
        raise EvolveError(cause, "Free some space there, or name another folder.") from error
