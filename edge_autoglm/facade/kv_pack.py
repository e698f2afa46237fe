"""The resident prefixes of a runtime on disk, beside what the learner keeps."""

from __future__ import annotations

import hashlib
import logging
import threading
from pathlib import Path

from edge_autoglm.errors import EngineError, StateError
from edge_autoglm.runtime.kv.pack_format import PackKey
from edge_autoglm.runtime.kv.packs import load_pack, save_pack
from edge_autoglm.runtime.kv.store import KVStore
from edge_autoglm.runtime.model import LanguageModel

_NAME = "prefixes.kv"

_log = logging.getLogger("edge_autoglm")


class PrefixPack:
    """Restores prefixes when a runtime opens, and saves them in the background.

    A pack that is damaged, foreign or cannot be written costs time at the next start and nothing else: it is logged.

    Args:
        state: State folder of the runtime; ``None`` keeps nothing.
        threads: Of the engine, on which the bits may depend.
    """

    def __init__(self, state: Path | None, threads: int) -> None:
        self._path = None if state is None else state / _NAME
        self._threads = threads
        self._restored_tokens = 0
        self._saved = b""
        self._saving: threading.Thread | None = None

    def restore(self, model: LanguageModel) -> None:
        """Put what an earlier process left into the model's KV store, if this one would compute the same bits."""
        if self._path is None or not self._path.exists():
            return
        outcome = load_pack(self._path, self._key(model), model.kv)
        self._restored_tokens = outcome.restored_tokens
        if outcome.reason is not None:
            _log.warning("resident prefixes are computed anew: %s", outcome.reason)

    def save_soon(self, model: LanguageModel) -> None:
        """Save what is resident now, unless that is what the pack holds."""
        if self._path is None or (content := _digest(model)) == self._saved:
            return
        known, self._saved = self._saved, content
        if not known and self._all_restored(model.kv):
            return
        self.wait()
        self._saving = threading.Thread(target=self._save, args=(self._path, model), name="edge-autoglm-kv-pack")
        self._saving.start()

    def wait(self) -> None:
        """Until what is being saved is on the disk."""
        if self._saving is not None:
            self._saving.join()

    def _all_restored(self, kv: KVStore) -> bool:
        """Whether what is pinned right after a start is what the pack gave, no more and no less."""
        pinned = sum(held.segment.length for held in kv.pinned())
        return pinned == self._restored_tokens and kv.stats.pinned_bytes == kv.stats.nbytes

    def _save(self, path: Path, model: LanguageModel) -> None:
        try:
            save_pack(path, self._key(model), model.kv)
        except (StateError, EngineError) as error:  # a GPU that fails while its KV is fetched
            _log.warning("resident prefixes were not saved: %s", error)

    def _key(self, model: LanguageModel) -> PackKey:
        facts = model.engine.facts
        return PackKey(
            engine=facts.fingerprint,
            tokenizer=model.tokenizer.fingerprint,
            kv_type=f"{facts.kv_bytes_per_token} bytes a token",
            build=f"{model.placement.library}, {self._threads} threads, {model.placement.hardware}",
        )


def _digest(model: LanguageModel) -> bytes:
    """Of the tokens that are pinned, and of whose KV it is."""
    digest = hashlib.sha256(model.fingerprint.encode())
    for held in model.kv.pinned():
        digest.update(f"{held.segment.begin} {held.parent} ".encode() + held.tokens.tobytes())
    return digest.digest()
