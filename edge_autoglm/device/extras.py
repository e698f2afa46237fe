"""What each extra of the package brings to an app."""

from __future__ import annotations

from types import MappingProxyType

ORT_EXTRAS = ("cpu", "cuda")
"""One of them is needed, and never both."""

EXTRAS = MappingProxyType(
    {
        "export": "`export` of checkpoint folders, GGUF files and models of the Hugging Face hub",
        "structured": "answers held to a choice, a regular expression or a JSON schema",
        "signing": "signatures of bundles (`sign`, `RuntimeConfig.trusted_keys`)",
        "tensorrt": "engines for NVIDIA GPUs",
        "optimum": "`export` of architectures that have no family of ours",
        "demo": "the plot of `demo`",
        "bench": "the plot of `bench`",
    }
)
"""Those that a user may want; what only developers of the package need is not among them."""
