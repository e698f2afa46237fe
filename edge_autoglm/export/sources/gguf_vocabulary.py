"""Checked access to the tokenizer fields of GGUF metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

import numpy as np

from edge_autoglm.errors import NotAModel

CONVERT_AGAIN = "Convert the model again with a current llama.cpp."
_PREFIX = "tokenizer.ggml."


class TokenType(IntEnum):
    """``tokenizer.ggml.token_type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class GGUFVocabulary:
    """The tokens of a GGUF file and the fields about them.

    Attributes:
        location: The file, for messages.
        tokens: Text of each id, each text once.

    Raises:
        NotAModel: There are no tokens, a token occurs twice, or types and tokens differ in number.
    """

    def __init__(self, metadata: Mapping[str, Any], location: str) -> None:
        self.location = location
        self._fields = {key.removeprefix(_PREFIX): value for key, value in metadata.items() if key.startswith(_PREFIX)}
        self.tokens = self.need_texts("tokens")
        self._types = self.need_numbers("token_type") if "token_type" in self._fields else [1] * len(self.tokens)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            raise NotAModel(f"{location}: {len(self.tokens) - len(self._ids)} tokens occur twice", CONVERT_AGAIN)
        if len(self._types) != len(self.tokens):
            raise NotAModel(f"{location}: {len(self.tokens)} tokens, {len(self._types)} token types", CONVERT_AGAIN)

    @property
    def ids(self) -> dict[str, int]:
        """Id of each token's text."""
        return self._ids

    def get(self, key: str, default: Any = None) -> Any:
        """A field, without the prefix ``tokenizer.ggml.``."""
        return self._fields.get(key, default)

    def need(self, key: str) -> Any:
        """A field that must be there.

        Raises:
            NotAModel: It is not.
        """
        if key not in self._fields:
            raise NotAModel(f"{self.location}: the metadata lack '{_PREFIX}{key}'", CONVERT_AGAIN)
        return self._fields[key]

    def need_texts(self, key: str) -> list[str]:
        """A field that must be there and hold texts.

        Raises:
            NotAModel: It is missing or holds something else.
        """
        values = self.need(key)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise NotAModel(f"{self.location}: '{_PREFIX}{key}' is no list of texts", CONVERT_AGAIN)
        return values

    def need_numbers(self, key: str) -> list[float]:
        """A field that must be there and hold finite numbers.

        Raises:
            NotAModel: It is missing or holds something else.
        """
        values = self.need(key)
        if not isinstance(values, np.ndarray) or not np.isfinite(values).all():
            raise NotAModel(f"{self.location}: '{_PREFIX}{key}' is no list of numbers", CONVERT_AGAIN)
        numbers: list[float] = values.tolist()
        return numbers

    def token_id(self, name: str) -> int | None:
        """The id of the field ``<name>_token_id``, or ``None`` where there is no such field.

        Raises:
            NotAModel: There is no token of that id.
        """
        value = self.get(f"{name}_token_id")
        if value is None or (type(value) is int and 0 <= value < len(self.tokens)):
            return value
        raise NotAModel(
            f"{self.location}: {name}_token_id is {str(value)[:40]}, which is none of the {len(self.tokens)} tokens",
            CONVERT_AGAIN,
        )

    def of_type(self, *types: TokenType) -> Iterator[int]:
        """Ids of all tokens of the types."""
        return (i for i, kind in enumerate(self._types) if kind in types)
