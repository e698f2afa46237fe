"""The proof of a bundle, repeated against the checkpoint that it was made from."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

from edge_autoglm.bundle import Bundle, EngineEntry
from edge_autoglm.errors import ExportError
from edge_autoglm.export.options import ExportOptions
from edge_autoglm.export.proof.budgets import Budget, budget_of
from edge_autoglm.export.proof.engines import KINDS
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.graphs import prove_against_original
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prove import Terms
from edge_autoglm.export.routes import Built, choose_route, open_source
from edge_autoglm.export.texts import calibration_text, heldout_text
from edge_autoglm.values import Progress, silent


def verify_against(
    bundle: Bundle,
    source: str,
    *,
    adapter: Path | None = None,
    max_kl: float | None = None,
    progress: Progress = silent,
) -> Proof:
    """Compare a bundle's engine with the float32 original, on the text that ships with this package.

    The original's graph is written to the system's temporary folder and removed again.

    Args:
        bundle: Opened and verified.
        source: The checkpoint that it was made from.
        adapter: The adapter that was merged, if any.
        max_kl: In place of the limits that the bundle was exported under.
        progress: Stages ``reference``, ``perplexity`` and ``generations``.

    Returns:
        Today's figures under the limits of the export; it knows whether those are kept.

    Raises:
        SourceError: The checkpoint cannot be read, or is of another shape than the bundle's model.
        BundleError: The bundle has no engine that runs here.
        ExportError: There is no room for the original's graph, or an engine gives no finite logits.
        MissingDependency: A package is needed.
    """
    entry = _engine(bundle)
    built = Built(bundle.path(entry.graph), entry.kind, bundle.manifest.model, entry.groups, entry.notes)
    terms = Terms(entry.precision, _budget(bundle, entry.precision, max_kl), heldout_text())
    language = Language.of_bundle(bundle)
    with closing(open_source(source, adapter, progress)) as checkpoint:
        options = ExportOptions("fp32", adapter=adapter)
        route = choose_route(checkpoint, checkpoint.tokenizer(), options, calibration_text())
        try:
            with tempfile.TemporaryDirectory(prefix="edge-autoglm-") as folder:
                return prove_against_original(Path(folder), route, built, language, terms, progress)
        except OSError as error:
            raise ExportError(
                f"the original's graph cannot be written to {tempfile.gettempdir()}: {error.strerror or error}",
                "Name a folder with room for its float32 weights in the environment variable TMPDIR.",
            ) from error


def _engine(bundle: Bundle) -> EngineEntry:
    for entry in bundle.manifest.engines:
        if entry.kind in KINDS:
            return entry
    return bundle.engine(KINDS[0])  # raises, and says what there is


def _budget(bundle: Bundle, precision: str, max_kl: float | None) -> Budget:
    recorded = Proof.from_json(bundle.manifest.verification)
    if max_kl is not None or recorded is None:
        return budget_of(precision, max_kl)
    return Budget(recorded.max_kl, recorded.max_perplexity_increase)
