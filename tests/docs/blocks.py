"""The fenced blocks of a page, and what their fences say is to be done with them.

```sql run      executed, in the order of the page
```bash start   started, and goes on beside what follows
```ini file=X   written to X
```bash         only shown
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parent.parent.parent / "docs"
FENCE = re.compile(r"^```(\S+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    language: str
    order: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(found[1], found[2] or "", found[3], text[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]
