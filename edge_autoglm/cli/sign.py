"""``edge-autoglm sign``."""

from __future__ import annotations

from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.signature import key_id, new_key, public_key_of, sign
from edge_autoglm.cli.output import console, json_option, progress_bars, write_json


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--key", "key_file", type=click.Path(path_type=Path), metavar="FILE", help="Private key to sign with.")
@click.option(
    "--new-key", "new_file", type=click.Path(path_type=Path), metavar="FILE", help="Make a private key; sign nothing."
)
@json_option
def command(bundle: Path | None, key_file: Path | None, new_file: Path | None, json_file: Path | None) -> None:
    """Sign BUNDLE, after checking its files, so that devices can tell who made it.

    Devices trust public keys: `RuntimeConfig(trusted_keys=(...,))`. Keep the private key off them. Needs the extra
    `signing`.

    \b
    edge-autoglm sign --new-key release.pem             make a key; prints its public part
    edge-autoglm sign model.bundle --key release.pem
    edge-autoglm verify model.bundle --trusted-key 1f9c...
    """
    if new_file is not None and (bundle is not None or key_file is not None):
        raise click.UsageError("--new-key makes a key and signs nothing: give it alone")
    if new_file is not None:
        public = new_key(new_file)
        console.print(f"{new_file}: a new private key. Whoever has it can sign; keep it off the devices.")
    elif bundle is not None and key_file is not None:
        public = public_key_of(key_file)
        with progress_bars() as progress:
            opened = Bundle.open(bundle, progress=progress)
        sign(opened.root, opened.manifest, key_file)
        console.print(f"{bundle}: signed.", soft_wrap=True)
    else:
        raise click.UsageError("name a bundle and --key FILE, or --new-key FILE")
    console.print(f"key id {key_id(public)}, public key {public}", soft_wrap=True)
    write_json(json_file, {"key_id": key_id(public), "public_key": public})
