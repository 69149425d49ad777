"""Curves over the share of cheaters, as small SVG files."""

from collections.abc import Callable, Sequence
from html import escape

from marketplace.domain.simulation.report import Row

WIDTH, HEIGHT = 860, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 280, 24, 48
COLOURS = ("#0b6e4f", "#1b4d89", "#b3541e", "#7b2d8b", "#b8860b", "#a4133c", "#4a4e69")
DASHES = ("", "6 3", "2 3")


def chart(rows: Sequence[Row], value: Callable[[Row], float], *, title: str, description: str, unit: str) -> str:
    """One line a strategy: `value` in percent over the share of cheaters."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault(row.title, []).append((100 * row.cheaters, 100 * value(row)))
    points = [point for curve in curves.values() for point in curve]
    low, high = _nice([y for _, y in points])
    right = max(x for x, _ in points)

    def place(x: float, y: float) -> str:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / right
        down = TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / (high - low)
        return f"{across:.1f},{down:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="title description" font-family="sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for step in range(6):
        y = low + (high - low) * step / 5
        start, end = place(0, y).split(","), place(right, y).split(",")
        parts.append(f'<path d="M{",".join(start)} H{end[0]}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{float(start[1]) + 4:.1f}" text-anchor="end">{y:.3g} %</text>')
    for x in sorted({x for x, _ in points}):
        at = place(x, low).split(",")[0]
        parts.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x:g} %</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">share of the workers that cheat; {escape(unit)}</text>')
    for number, (name, curve) in enumerate(curves.items()):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS) % len(DASHES)]
        style = f'stroke="{colour}" stroke-width="2" fill="none" stroke-dasharray="{dash}"'
        parts.append(f'<polyline points="{" ".join(place(x, y) for x, y in curve)}" {style}/>')
        down, across = TOP + 8 + 22 * number, WIDTH - RIGHT + 16
        parts.append(f'<path d="M{across},{down} h28" {style}/>')
        parts.append(f'<text x="{across + 36}" y="{down + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _nice(values: Sequence[float]) -> tuple[float, float]:
    """An axis of five steps of 1 to 5 times a power of ten that holds all values and 0."""
    low, high = min(0.0, *values), max(0.0, *values)
    span, step = max(high - low, 1e-9), 1e-9
    while True:
        for factor in (1.0, 2.0, 3.0, 4.0, 5.0):
            size = step * factor
            start = size * (low // size)
            if start + 5 * size >= high and 5 * size >= span:
                return start, start + 5 * size
        step *= 10


def all_charts(rows: Sequence[Row]) -> dict[str, str]:
    """File names and their SVG."""
    cheating = [row for row in rows if not row.honest]
    return {
        "simulated-profit.svg": chart(
            rows,
            lambda row: row.relative,
            title="Profit of each strategy beside honest work",
            description="Profit per worker and hour, in percent of what honest workers in the same market earn, over "
            "the share of workers that follow the strategy. Honest work in float32 and on a lent stake earns about "
            "100 %; every way of cheating earns less.",
            unit="profit, in percent of honest work's",
        ),
        "simulated-checking.svg": chart(
            cheating,
            lambda row: row.checking,
            title="Verification's share of all computing",
            description="Seconds spent on checking answers, in percent of all seconds of computing, over the share of "
            "workers that cheat. Wrong answers cost more to check than right ones, until their workers are out.",
            unit="verification, in percent of all computing",
        ),
    }
