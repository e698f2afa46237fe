"""External data of an ONNX graph, written as the graph is built, so that one tensor at a time is in memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

_PAGE = 4096
"""Alignment that lets ONNX Runtime map a tensor instead of copying it."""


class WeightFile:
    """Appends tensors to ``path`` and describes them as external initializers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def __enter__(self) -> WeightFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
        """Append one tensor."""
        data = np.ascontiguousarray(array)
        dtype = onnx.helper.np_dtype_to_tensor_dtype(data.dtype)
        return self._describe(name, data.shape, dtype, self._append(data), data.nbytes)

    def packed(self, name: str, data: npt.NDArray[np.uint8], dtype: int, shape: tuple[int, ...]) -> onnx.TensorProto:
        """Append one tensor of a type that NumPy has not, given as the bytes that it is packed in."""
        data = np.ascontiguousarray(data)
        return self._describe(name, shape, dtype, self._append(data), data.nbytes)

    def _append(self, data: npt.NDArray[Any]) -> int:
        """Offset of the bytes in the file."""
        self._file.write(b"\0" * (-self._file.tell() % _PAGE))
        offset = self._file.tell()
        self._file.write(data.data)
        return offset

    def alias(self, tensor: onnx.TensorProto, name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
        """The same bytes under another name and shape."""
        place = {entry.key: int(entry.value) for entry in tensor.external_data if entry.key != "location"}
        return self._describe(name, shape, tensor.data_type, place["offset"], place["length"])

    def _describe(self, name: str, shape: tuple[int, ...], dtype: int, offset: int, length: int) -> onnx.TensorProto:
        tensor = onnx.TensorProto(
            name=name,
            data_type=dtype,
            dims=shape,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        for key, value in (("location", self._path.name), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        return tensor


class InlineWeights:
    """Keeps tensors in the graph itself: for small graphs that are run once and never stored."""

    def add(self, name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
        """Wrap one tensor."""
        return onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)

    def packed(self, name: str, data: npt.NDArray[np.uint8], dtype: int, shape: tuple[int, ...]) -> onnx.TensorProto:
        """Wrap one tensor of a type that NumPy has not."""
        return onnx.TensorProto(name=name, data_type=dtype, dims=shape, raw_data=data.tobytes())

    def alias(self, tensor: onnx.TensorProto, name: str, shape: tuple[int, ...]) -> onnx.TensorProto:
        """A copy under another name and shape."""
        return self.add(name, onnx.numpy_helper.to_array(tensor).reshape(shape))
