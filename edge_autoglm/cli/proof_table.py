"""The proof of a bundle as a small table."""

from __future__ import annotations

from rich.table import Table

from edge_autoglm.export.proof.figures import Proof


def proof_table(proof: Proof, title: str) -> Table:
    """The figures, each beside what it means to be the same as the original."""
    table = Table("", "original", "bundle", "change", title=title)
    change = f"{proof.perplexity_change:+.2%}" + _limit(proof.max_perplexity_increase, "{:+.2%}")
    table.add_row("perplexity", f"{proof.reference_perplexity:.3f}", f"{proof.perplexity:.3f}", change)
    table.add_row("KL, nats a token", "0", f"{proof.kl:.3g}", _limit(proof.max_kl, "{:g}").strip())
    table.add_row("same most probable token", "100.0%", f"{proof.top1:.1%}", "")
    count = proof.generations
    table.add_row("greedy answers, identical", f"{count}", f"{proof.identical_generations} of {count}", "")
    table.add_row("same leading tokens, mean", f"{proof.new_tokens} at most", f"{proof.common_prefix:.1f}", "")
    degenerate = _limit(proof.max_degenerate, "{}").strip()
    table.add_row("empty or looping answers", str(proof.reference_degenerate), str(proof.degenerate), degenerate)
    table.caption = _caption(proof)
    return table


def _limit(limit: float | None, form: str) -> str:
    return "" if limit is None else f" (limit {form.format(limit)})"


def _caption(proof: Proof) -> str:
    measured = f"{proof.windows} windows of {proof.window_tokens} tokens of held-out text"
    if proof.reference == "itself":
        return f"{measured}; {proof.precision} is the original"
    return f"{measured}; {'within' if proof.within_budget else 'BEYOND'} the budget of {proof.precision}"
