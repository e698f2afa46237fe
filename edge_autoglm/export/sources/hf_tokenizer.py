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
from edge_autoglm.export.sources.tokenizers_file import (
    check_vocabulary,
    checked_template,
    encode_nothing,
    load_tokenizer,
)

_GENERATION, _SETTINGS = "generation_config.json", "tokenizer_config.json"


def tokenizer_files(folder: Path, config: Mapping[str, Any]) -> TokenizerFiles:
    """Collect what the folder says about text.

    Args:
        folder: Of the checkpoint.
        config: Content of its ``config.json``.

    Raises:
        UnsupportedModel: There is no ``tokenizer.json``, or the embedding has no row for one of its tokens.
        NotAModel: A file is malformed, or no file names a token that ends a generation.
        TemplateError: The chat template has a syntax error.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UnsupportedModel(
            f"{folder} has no tokenizer.json",
            "Save it with the fast tokenizer of transformers: AutoTokenizer.from_pretrained(...).save_pretrained(...).",
        )
    # Cutting and padding are the runtime's affair; a file that did them too would do them twice.
    content = read_json(path) | {"truncation": None, "padding": None}
    rows = config.get("vocab_size")
    if isinstance(rows, int):
        content = _without_rowless_specials(content, rows)
    tokenizer = load_tokenizer(json.dumps(content, ensure_ascii=False), str(path))
    if isinstance(rows, int):
        check_vocabulary(tokenizer, rows, str(path))
    settings = read_json_if_there(folder / "special_tokens_map.json") | read_json_if_there(folder / _SETTINGS)
    bos, eos = (_token_text(settings.get(f"{name}_token")) for name in ("bos", "eos"))
    add_bos = bos is not None and _adds_bos(settings, tokenizer, bos, str(path))
    if bos is not None and add_bos and tokenizer.token_to_id(bos) is None:
        raise NotAModel(
            f"{folder / _SETTINGS}: bos_token {bos!r} is not a token of tokenizer.json",
            "Use the files of one and the same tokenizer.",
        )
    return TokenizerFiles(
        # Like cutting and padding.
        tokenizer_json=json.dumps(content | {"post_processor": None}, ensure_ascii=False),
        chat_template=_chat_template(folder, settings),
        bos_token=bos,
        eos_token=eos,
        eos_token_ids=_endings(folder, config, eos, tokenizer, rows),
        add_bos=add_bos,
    )


def _without_rowless_specials(content: dict[str, Any], rows: int) -> dict[str, Any]:
    """Leave out special tokens that the embedding has no row for.

    Gemma 3 1B lists the image token of its larger siblings. Its text is then cut like any other text.
    """
    added, model = content.get("added_tokens"), content.get("model")
    if not isinstance(added, list) or not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
        return content
    rowless = {token["content"] for token in added if _is_rowless_special(token, rows)}
    if not rowless:
        return content
    vocabulary = {token: token_id for token, token_id in model["vocab"].items() if token not in rowless}
    kept = [token for token in added if not _is_rowless_special(token, rows)]
    return content | {"added_tokens": kept, "model": model | {"vocab": vocabulary}}


def _is_rowless_special(token: Any, rows: int) -> bool:
    return (
        isinstance(token, dict)
        and token.get("special") is True
        and isinstance(token.get("content"), str)
        and isinstance(token.get("id"), int)
        and token["id"] >= rows
    )


def _endings(
    folder: Path, config: Mapping[str, Any], eos: str | None, tokenizer: Tokenizer, rows: Any
) -> tuple[int, ...]:
    generation = read_json_if_there(folder / _GENERATION)
    endings = [
        *_ids(generation.get("eos_token_id"), rows, folder / _GENERATION),
        *_ids(config.get("eos_token_id"), rows, folder / "config.json"),
    ]
    if eos is not None and (eos_id := tokenizer.token_to_id(eos)) is not None:
        endings.append(eos_id)
    if not endings:
        raise NotAModel(f"{folder} names no eos_token_id", f"Add eos_token_id to {_GENERATION}.")
    return tuple(dict.fromkeys(endings))


def _ids(value: Any, rows: Any, path: Path) -> Iterator[int]:
    """``eos_token_id`` is an id, a list of ids or absent."""
    if value is None:
        return
    for token_id in value if isinstance(value, list) else [value]:
        if type(token_id) is not int or token_id < 0 or (isinstance(rows, int) and token_id >= rows):
            raise NotAModel(
                f"{path}: eos_token_id is {str(token_id)[:40]!r}, which is none of the {rows} tokens",
                "Set it to the id of the token that ends an answer.",
            )
        yield token_id


def _token_text(token: Any) -> str | None:
    """Special tokens are given as text, or as an object with their text under ``content``."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _adds_bos(settings: Mapping[str, Any], tokenizer: Tokenizer, bos: str, what: str) -> bool:
    if isinstance(settings.get("add_bos_token"), bool):
        return bool(settings["add_bos_token"])
    # Llama 3 leaves it to the post-processor: see what that puts around an empty text.
    return encode_nothing(tokenizer, what)[:1] == [bos]


def _chat_template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """From ``chat_template.jinja``, ``chat_template.json`` or ``tokenizer_config.json``, the first that has one."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return checked_template(read_text(path), str(folder))
    template = read_json_if_there(folder / "chat_template.json").get("chat_template", settings.get("chat_template"))
    if isinstance(template, list):
        entries = [entry for entry in template if isinstance(entry, dict) and entry.get("name") == "default"]
        template = entries[-1].get("template") if entries else None
    return checked_template(template, str(folder))
