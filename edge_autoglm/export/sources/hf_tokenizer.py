"""The tokenizer of a Hugging Face checkpoint folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources.text_files import read_json, read_json_if_there, read_text


def tokenizer_files(folder: Path, config: Mapping[str, Any]) -> TokenizerFiles:
    """Collect what the folder says about text.

    Args:
        folder: Of the checkpoint.
        config: Content of its ``config.json``.

    Raises:
        UnsupportedModel: There is no ``tokenizer.json``.
        NotAModel: A file is malformed, or no file names a token that ends a generation.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UnsupportedModel(
            f"{folder} has no tokenizer.json",
            "Save it with the fast tokenizer of transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...).",
        )
    content = read_json(path)
    tokenizer = _load(path, content)
    settings = read_json_if_there(folder / "special_tokens_map.json") | read_json_if_there(
        folder / "tokenizer_config.json"
    )
    bos, eos = (_token_text(settings.get(f"{name}_token")) for name in ("bos", "eos"))
    generation = read_json_if_there(folder / "generation_config.json")
    endings = [*_ids(generation.get("eos_token_id")), *_ids(config.get("eos_token_id"))]
    if eos is not None and (eos_id := tokenizer.token_to_id(eos)) is not None:
        endings.append(eos_id)
    if not endings:
        raise NotAModel(f"{folder} names no eos_token_id", "Add eos_token_id to generation_config.json.")
    return TokenizerFiles(
        # Adding BOS, cutting and padding are the runtime's affair; a file that did them too would do them twice.
        tokenizer_json=json.dumps(
            content | {"truncation": None, "padding": None, "post_processor": None}, ensure_ascii=False
        ),
        chat_template=_chat_template(folder, settings),
        bos_token=bos,
        eos_token=eos,
        eos_token_ids=tuple(dict.fromkeys(endings)),
        add_bos=bos is not None and _adds_bos(settings, tokenizer, bos),
    )


def _load(path: Path, content: dict[str, Any]) -> Tokenizer:
    try:
        return Tokenizer.from_str(json.dumps(content))
    # tokenizers raises plain Exception, whatever is wrong.
    except Exception as error:
        raise NotAModel(f"{path} is not a tokenizers file ({error})", "Download the checkpoint again.") from error


def _token_text(token: Any) -> str | None:
    """Special tokens are given as text, or as an object with their text under ``content``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _ids(value: Any) -> Iterator[int]:
    """``eos_token_id`` is an id, a list of ids or absent."""
    yield from (i for i in (value if isinstance(value, list) else [value]) if isinstance(i, int))


def _adds_bos(settings: Mapping[str, Any], tokenizer: Tokenizer, bos: str) -> bool:
    if isinstance(settings.get("add_bos_token"), bool):
        return bool(settings["add_bos_token"])
    # Llama 3 leaves it to the post-processor: see what that puts around an empty text.
    return tokenizer.encode("").tokens[:1] == [bos]


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """From ``chat_template.jinja``, ``chat_template.json`` or ``tokenizer_config.json``, the first that has one."""
    if (folder / "chat_template.jinja").is_file():
        return read_text(folder / "chat_template.jinja")
    template = read_json_if_there(folder / "chat_template.json").get("chat_template", settings.get("chat_template"))
    if isinstance(template, list):
        named = {entry.get("name"): entry.get("template") for entry in template if isinstance(entry, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None
