"""The soak as a picture: small charts below each other, as SVG by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, TOP, RIGHT = 860, 96, 56, 30, 190
COLOURS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
Series = Mapping[str, Sequence[float]]


def plot(times_s: Sequence[float], charts: Mapping[str, Series], phases: Sequence[tuple[float, str]]) -> str:
    """Charts by title, each with its named series; `phases` are (start in s, name)."""
    step = HEIGHT + 44
    whole = TOP + step * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{whole}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    end = times_s[-1] or 1.0
    for row, (title, series) in enumerate(charts.items()):
        top = TOP + row * step
        parts += _chart(title, series, times_s, end, top)
        parts += _phases(phases, end, top, named=row == 0)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _chart(title: str, series: Series, times_s: Sequence[float], end: float, top: float) -> list[str]:
    most = max((max(values) for values in series.values()), default=0) or 1.0
    bottom = top + HEIGHT
    parts = [
        f'<text x="{LEFT}" y="{top - 5}" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{LEFT} {top}V{bottom}H{LEFT + WIDTH}" stroke="#8c959f" fill="none"/>',
        f'<text x="{LEFT - 4}" y="{top + 8}" text-anchor="end">{most:,.4g}</text>',
        f'<text x="{LEFT - 4}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{LEFT + WIDTH}" y="{bottom + 13}" text-anchor="end">{end / 60:.1f} min</text>',
    ]
    for n, (name, values) in enumerate(series.items()):
        points = " ".join(
            f"{LEFT + WIDTH * time / end:.0f},{bottom - HEIGHT * value / most:.1f}"
            for time, value in zip(times_s, values, strict=True)
        )
        colour = COLOURS[n % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        label = f"{escape(name)}: {values[-1]:,.4g}"
        parts.append(f'<text x="{LEFT + WIDTH + 8}" y="{top + 10 + 15 * n}" fill="{colour}">{label}</text>')
    return parts


def _phases(phases: Sequence[tuple[float, str]], end: float, top: float, *, named: bool) -> list[str]:
    parts = []
    for start, name in phases:
        x = LEFT + WIDTH * start / end
        parts.append(f'<path d="M{x:.0f} {top}v{HEIGHT}" stroke="#8c959f" stroke-dasharray="2 3"/>')
        if named:
            parts.append(f'<text x="{x + 2:.0f}" y="{top - 16}" fill="#57606a">{escape(name)}</text>')
    return parts
