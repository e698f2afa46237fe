"""What the exporter needs from a checkpoint, whatever file it lies in.

Names, shapes and orientation are those of the Hugging Face implementation of the family
(``model.layers.0.self_attn.q_proj.weight`` is ``[out, in]``); a reader of another format translates. The configuration
is the content of ``config.json``, with the same keys, whatever the source.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """Everything about text that a bundle carries.

    Attributes:
        tokenizer_json: Content of a ``tokenizers`` file.
        chat_template: Jinja source, or ``None`` for a base model.
        bos_token: Text of the token that the chat template may refer to, or ``None``.
        eos_token: Likewise.
        eos_token_ids: Ids that end a generation; at least one.
        add_bos: Whether every prompt starts with ``bos_token``.
    """

    tokenizer_json: str
    chat_template: str | None
    bos_token: str | None
    eos_token: str | None
    eos_token_ids: tuple[int, ...]
    add_bos: bool


class Checkpoint(Protocol):
    """A readable checkpoint. Weights stay on disk until ``read``."""

    @property
    def location(self) -> str:
        """File or folder, for messages."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """Content of ``config.json`` (or its equivalent, translated)."""
        ...

    def names(self) -> Collection[str]:
        """Names of all tensors."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape without reading the data."""
        ...

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One tensor, dequantised to float32.

        Raises:
            UnsupportedModel: There is no such tensor, or its data type is unknown.
            TruncatedSource: The file ends before the tensor does.
        """
        ...

    def tokenizer(self) -> TokenizerFiles:
        """The tokenizer, translated to a ``tokenizers`` file where the source has another form."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...
