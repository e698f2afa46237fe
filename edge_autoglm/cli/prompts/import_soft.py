"""``edge-autoglm prompts import-soft``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.cli.output import console, json_option, megabytes, progress_bars, write_json


@click.command("import-soft")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("peft_dir", type=click.Path(path_type=Path))
@click.argument("task")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Of the new variant.")
@click.option(
    "--variant", "base", default="plain", show_default=True, metavar="BASE", help="What follows the soft prompt."
)
@json_option
def import_soft(
    bundle: Path, peft_dir: Path, task: str, out: Path, name: str, base: str, json_file: Path | None
) -> None:
    """Give TASK of BUNDLE a variant behind a soft prompt, in the new bundle OUT.

    PEFT_DIR is what PEFT saved after prompt tuning: adapter_config.json (peft_type PROMPT_TUNING) and
    adapter_model.safetensors. The embeddings are run through the bundle's own engine once; what is shipped is their KV,
    which stands in front of the prompts of BASE. Take the prompts that it was trained in front of. The learner chooses
    the new variant like any other. OUT shares the engine's files with BUNDLE, and can be swapped in.

    Another precision or another export is another engine: import it again there.

    \b
    edge-autoglm prompts import-soft model.bundle ./tuned sentiment soft.bundle --name tuned
    edge-autoglm prompts import-soft model.bundle ./tuned sentiment soft.bundle --name tuned --variant question
    edge-autoglm run soft.bundle sentiment text="What a lovely day" --variant tuned
    """
    from edge_autoglm.export.soft_prompt.importing import import_soft_prompt

    with progress_bars() as progress:
        opened = Bundle.open(bundle, progress=progress)
        imported = import_soft_prompt(opened, peft_dir, task, out, name, base=base, progress=progress)
    console.print(
        f"{out}: task {task} has the variant {name}: {imported.tokens} virtual tokens ({megabytes(imported.nbytes)} of "
        f"KV) in front of {base}.",
        markup=False,
        soft_wrap=True,
    )
    write_json(
        json_file,
        {
            "bundle": str(out),
            "task": imported.task,
            "variant": imported.variant,
            "base": base,
            "soft_prompt": imported.soft_prompt,
            "tokens": imported.tokens,
            "kv_bytes": imported.nbytes,
        },
    )
