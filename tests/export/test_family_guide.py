"""docs/adding-a-family.md quotes a family file that is as it says."""

from __future__ import annotations

from pathlib import Path

from edge_autoglm.export.families import qwen3

_GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-family.md"


def test_the_quoted_family_is_the_real_one() -> None:
    quoted = _GUIDE.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert quoted == Path(qwen3.__file__).read_text(encoding="utf-8")
