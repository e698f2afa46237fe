"""What the exporter asks of a precision."""

from __future__ import annotations

from typing import Protocol

from edge_autoglm.export.weights import Array, Dense, LayerWeights, Matrix


class Quantizer(Protocol):
    """Chooses the stored form of every matrix. Called once a matrix, in the order of a forward pass."""

    def table(self, values: Array) -> Matrix:
        """The embedding ``[vocab, hidden]``, which a tied head shares."""
        ...

    def layer(self, index: int, weights: LayerWeights[Dense]) -> LayerWeights[Matrix]:
        """One layer; norms and biases may change with the matrices where a rescaling is folded into them."""
        ...

    def head(self, values: Array) -> Matrix:
        """The head ``[vocab, hidden]`` of a model that has its own."""
        ...
