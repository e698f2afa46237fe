"""The "plans" of the recording double of TensorRT: JSON that says what their graph is like."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum

import numpy as np

from edge_autoglm.runtime.engines.standard.sizes import StepSizes


class DataType(Enum):
    FLOAT = np.float32
    HALF = np.float16
    INT32 = np.int32
    INT64 = np.int64
    BOOL = np.bool_


@dataclass(frozen=True)
class Graph:
    """What a "plan" is of."""

    layers: int = 2
    kv_heads: int = 2
    head_dim: int = 16
    columns: int = 512
    vocab_size: int = 320
    rows: int = 4
    page: int = 128
    head_rows: int = 32
    scratch: int = 1000
    cache_type: str = "HALF"
    ids_type: str = "INT64"
    in_place: bool = True
    aliased: bool = True
    profiles: int = 2

    @property
    def sizes(self) -> StepSizes:
        return StepSizes(self.rows, self.page, self.head_rows)

    def plan(self) -> bytes:
        """The file."""
        return json.dumps(vars(self)).encode()

    def places(self) -> list[str]:
        """Of the KV state: keys before values."""
        return [f"{kind}.{layer}" for kind in ("key", "value") for layer in range(self.layers)]

    def inputs(self) -> dict[str, tuple[DataType, tuple[int, ...]]]:
        ids = DataType[self.ids_type]
        inputs = {
            "input_ids": (ids, (-1, -1)),
            "position_ids": (DataType.INT64, (-1, -1)),
            "attn_mask": (DataType.BOOL, (-1, 1, -1, -1)),
            "logits_at": (DataType.INT64, (-1,)),
        }
        if self.in_place:
            inputs["write_indices"] = (DataType.INT64, (-1,))
        cache = (DataType[self.cache_type], (-1, self.kv_heads, self.columns, self.head_dim))
        return inputs | {f"past_{place}": cache for place in self.places()}

    def outputs(self) -> dict[str, tuple[DataType, tuple[int, ...]]]:
        columns = self.columns if self.in_place else -1
        cache = (DataType[self.cache_type], (-1, self.kv_heads, columns, self.head_dim))
        given = {f"{self.given}_{place}": cache for place in self.places()}
        return {"logits": (DataType.FLOAT, (-1, self.vocab_size))} | given

    @property
    def given(self) -> str:
        """What outputs for the cache begin with."""
        return "present" if self.in_place else "new"
