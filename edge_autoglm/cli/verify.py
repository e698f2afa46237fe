"""``edge-autoglm verify``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json
from edge_autoglm.cli.proof_table import proof_table
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.prompts import Catalogue


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--against",
    metavar="SOURCE",
    help="Compare it with this checkpoint again, as its export did: the .gguf file, folder or hub id that it was made "
    "from. Its float32 weights need room in the temporary folder (TMPDIR).",
)
@click.option("--adapter", type=click.Path(path_type=Path), help="The PEFT LoRA adapter that was merged, if any.")
@click.option(
    "--max-kl", type=click.FloatRange(min=0), metavar="X", help="Limit of the KL in place of the export's own."
)
@click.option(
    "--trusted-key",
    "trusted_keys",
    multiple=True,
    metavar="HEX",
    help="Public key that must have signed it; if given several times, one of them.",
)
@json_option
def command(
    bundle: Path,
    against: str | None,
    adapter: Path | None,
    max_kl: float | None,
    trusted_keys: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Check that every file of BUNDLE is what its manifest says, that its tasks are sound, and how well it is proven.

    Without --against, the figures are those that were measured at its export. With it, they are measured again, and the
    command fails if they are beyond the limits. A bundle for TensorRT is measured as ONNX Runtime runs its graph.

    \b
    edge-autoglm verify smollm2.bundle
    edge-autoglm verify smollm2.bundle --against SmolLM2-135M-Instruct.Q4_1.gguf
    """
    if against is None and (adapter is not None or max_kl is not None):
        raise click.UsageError("--adapter and --max-kl are for a new comparison: name the checkpoint with --against")
    with progress_bars() as progress:
        opened = Bundle.open(bundle, progress=progress, trusted_keys=trusted_keys or None)
    catalogue = Catalogue.load(opened.task_files())
    recorded = Proof.from_json(opened.manifest.verification)
    files = len(opened.manifest.files)
    console.print(f"{bundle}: {files} files match their checksums, {len(catalogue.names)} tasks load.", soft_wrap=True)
    console.print(_signed(opened, bool(trusted_keys)), soft_wrap=True)
    if recorded is None:
        console.print("Not proven: it was exported without a comparison with the original.", soft_wrap=True)
    else:
        console.print(proof_table(recorded, "measured at its export"))
    fresh = None if against is None else _measure(opened, against, adapter, max_kl)
    write_json(
        json_file,
        {
            "bundle": str(bundle),
            "files": files,
            "tasks": sorted(catalogue.names),
            "digest": opened.digest,
            "signed_by": None if opened.signature is None else opened.signature.key_id,
            "signature_checked": bool(trusted_keys),
            "verification": opened.manifest.verification,
            "against": None if fresh is None else {"source": against, **fresh.to_json()},
        },
    )
    if fresh is not None:
        from edge_autoglm.export.proof.graphs import refuse_bundle

        refuse_bundle(fresh, str(bundle))


def _signed(bundle: Bundle, checked: bool) -> str:
    signature = bundle.signature
    if signature is None:
        return "Not signed."
    how = "which is trusted" if checked else "not checked: give --trusted-key"
    return f"Signed by the key {signature.key_id}, {how}."


def _measure(bundle: Bundle, source: str, adapter: Path | None, max_kl: float | None) -> Proof:
    from edge_autoglm.export.proof.against import verify_against

    with progress_bars() as progress:
        proof = verify_against(bundle, source, adapter=adapter, max_kl=max_kl, progress=progress)
    console.print(proof_table(proof, "measured now"))
    return proof
