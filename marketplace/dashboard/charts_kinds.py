"""The kinds of picture: each takes numbers that were sampled already, and answers a `Chart`."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from marketplace.dashboard.charts import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Frame,
    clip,
    legend,
    short,
    text,
)

Points = Sequence[tuple[float, float]]
LEGEND_MOST = 12
UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
GRID_TEXT_MOST = 12  # classes of a grid whose cells have room for their numbers


@dataclass(frozen=True)
class Words:
    """What a chart is called, what it shows in a sentence, and what its axes are."""

    name: str
    title: str
    description: str
    x: str = ""
    y: str = ""
    note: str = ""


def scatter(words: Words, groups: Sequence[tuple[str, Points]], centres: Points = ()) -> Chart:
    """Points of one or more groups, each with its own colour and mark; `centres` are drawn above them with a number."""
    everything = [point for _, points in groups for point in points] + list(centres)
    names = [name for name, _ in groups] if 1 < len(groups) <= LEGEND_MOST else []
    key, used = legend(names, TOP - 16)
    frame = Frame(
        Axis([x for x, _ in everything], words.x), Axis([y for _, y in everything], words.y), top=TOP + used + 4
    )
    body = [key, frame.grid(), *(frame.marks(points, i) for i, (_, points) in enumerate(groups))]
    for number, (x, y) in enumerate(centres):
        at = f'cx="{frame.across(x):.1f}" cy="{frame.down(y):.1f}"'
        body.append(f'<circle class="centre" {at} r="7"/>')
        body.append(text(frame.across(x), frame.down(y) + 3.8, str(number), "middle", "value"))
    rows = [[name, x, y] for name, points in groups for x, y in points]
    rows += [[f"centre {number}", x, y] for number, (x, y) in enumerate(centres)]
    return _chart(words, ["group", words.x, words.y], rows, body)


def line(
    words: Words, points: Points, *, steps: bool = False, span: Sequence[float] = (), labels: Sequence[str] = ()
) -> Chart:
    """One line. `labels` name places on the x axis instead of numbers, first to last, such as dates; `span` is on the
    y axis whatever the points are."""
    frame = Frame(Axis([x for x, _ in points], words.x), Axis([*(y for _, y in points), *span], words.y))
    body = [frame.grid(x_ticks=not labels), frame.line(points, steps=steps), frame.marks(points, 0)]
    if labels:
        frame.x.low, frame.x.high = min(x for x, _ in points), max(x for x, _ in points)
        if frame.x.low == frame.x.high:
            frame.x.high += 1
        body = [frame.grid(x_ticks=False), frame.line(points, steps=steps), frame.marks(points, 0)]
        body += _ends(labels, frame)
    rows = [[labels[i] if i < len(labels) else x, y] for i, (x, y) in enumerate(points)]
    return _chart(words, [words.x, words.y], rows, body)


def _ends(labels: Sequence[str], frame: Frame) -> list[str]:
    y = frame.height - BOTTOM + 15
    ends = [text(frame.left, y, labels[0], "start")]
    return ends + ([text(WIDTH - RIGHT, y, labels[-1], "end")] if len(labels) > 1 else [])


def columns(words: Words, labels: Sequence[str], values: Sequence[float], over: Sequence[float] = ()) -> Chart:
    """A column for each label; `over` is a line above them, in the same unit (a scree plot's cumulative share)."""
    frame = Frame(Axis([0.0, float(max(len(values), 1))], words.x), Axis([*values, *over], words.y, zero=True))
    frame.x.low, frame.x.high = 0.0, float(max(len(values), 1))
    wide = frame.across(1) - frame.across(0)
    body = [frame.grid(x_ticks=False)]
    every = max(1, -(-len(labels) // 8))
    for i, value in enumerate(values):
        top, bottom = sorted((frame.down(value), frame.down(0)))
        x, w = frame.across(i) + wide * 0.15, wide * 0.7
        high = max(bottom - top, 0.5)
        body.append(f'<rect class="c0" x="{x:.1f}" y="{top:.1f}" width="{w:.1f}" height="{high:.1f}" rx="1.5"/>')
        if i % every == 0:
            body.append(text(frame.across(i + 0.5), frame.height - BOTTOM + 15, clip(labels[i], 12), "middle"))
    if over:
        points = [(i + 0.5, value) for i, value in enumerate(over)]
        body += [frame.line(points, 1), frame.marks(points, 1)]
    header = [words.x or "label", words.y] + (["cumulative"] if over else [])
    rows = [[labels[i], value, *([over[i]] if over else [])] for i, value in enumerate(values)]
    return _chart(words, header, rows, body)


def bars(words: Words, labels: Sequence[str], values: Sequence[float], errors: Sequence[float] = ()) -> Chart:
    """A horizontal bar for each label, with a whisker of ± its error where there is one: for names that are long."""
    ends = [*values, *(v + e for v, e in zip(values, errors, strict=False))]
    ends += [v - e for v, e in zip(values, errors, strict=False)]
    longest = max([len(clip(label, 20)) for label in labels] or [4])
    row = 22.0
    height = TOP + row * max(len(values), 1) + BOTTOM
    frame = Frame(
        Axis(ends, words.x, zero=True, count=4), Axis([0, 1]), left=max(LEFT, 12 + 6.4 * longest), height=height
    )
    body = []
    for tick in frame.x.at:
        x = frame.across(tick)
        body.append(f'<path class="grid" d="M{x:.1f} {TOP}V{height - BOTTOM:.1f}"/>')
        body.append(text(x, height - BOTTOM + 15, short(tick), "middle"))
    for i, value in enumerate(values):
        y = TOP + row * i
        x, end = sorted((frame.across(0), frame.across(value)))
        tone = "c0" if value >= 0 else "c1"
        body.append(text(frame.left - 8, y + 15, clip(labels[i], 20), "end", "value"))
        body.append(
            f'<rect class="{tone}" x="{x:.1f}" y="{y + 4:.1f}" width="{max(end - x, 0.8):.1f}" height="14" rx="1.5"/>'
        )
        if i < len(errors):
            low, high = frame.across(value - errors[i]), frame.across(value + errors[i])
            body.append(f'<path class="whisker" d="M{low:.1f} {y + 11:.1f}H{high:.1f}m0-4v8M{low:.1f} {y + 7:.1f}v8"/>')
    body.append(text((frame.left + WIDTH - RIGHT) / 2, height - 8, words.x, "middle"))
    rows = [[labels[i], value, *([errors[i]] if i < len(errors) else [])] for i, value in enumerate(values)]
    header = [words.y or "name", words.x or "value"] + (["standard error"] if len(errors) else [])
    return _chart(words, header, rows, body, height=height)


def against(words: Words, points: Points) -> Chart:
    """Predicted against actual: both axes alike, and the line on which a prediction is right."""
    values = [value for point in points for value in point]
    frame = Frame(Axis(values, words.x), Axis(values, words.y))
    ends = (frame.x.low, frame.x.high)
    body = [frame.grid(), frame.rule((ends[0], ends[0]), (ends[1], ends[1])), frame.marks(points, 2)]
    body.append(text(frame.across(ends[1]) - 4, frame.down(ends[1]) + 16, "y = x", "end"))
    return _chart(words, [words.x, words.y], [list(point) for point in points], body)


def residuals(words: Words, points: Points) -> Chart:
    """What is left over, over what was predicted, around the line of nothing left over."""
    frame = Frame(Axis([x for x, _ in points], words.x), Axis([y for _, y in points], words.y, zero=True))
    body = [frame.grid(), frame.rule((frame.x.low, 0), (frame.x.high, 0)), frame.marks(points, 1)]
    return _chart(words, [words.x, words.y], [list(point) for point in points], body)


def grid(words: Words, labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Chart:
    """A square table of counts as tinted cells, the more the darker: rows are actual, columns predicted."""
    n, side = len(labels), min(40.0, (WIDTH - 96) / max(len(labels), 1))
    left, top = 84.0, 40.0
    height = top + n * side + 16
    body = [text(left + n * side / 2, 14, words.x, "middle"), text(4, 30, words.y, "start")]
    for i, row in enumerate(counts):
        total = max(sum(row), 1)
        body.append(text(left - 8, top + (i + 0.5) * side + 4, clip(labels[i], 10), "end", "value"))
        body.append(text(left + (i + 0.5) * side, top - 6, clip(labels[i], max(2, int(side / 6))), "middle", "value"))
        for j, count in enumerate(row):
            at = f'x="{left + j * side + 1:.1f}" y="{top + i * side + 1:.1f}"'
            size = f'width="{side - 2:.1f}" height="{side - 2:.1f}"'
            tone = "c0" if i == j else "c1"
            opacity = f"{0.06 + 0.5 * count / total:.2f}"
            body.append(f'<rect class="{tone}" {at} {size} rx="2" fill-opacity="{opacity}"/>')
            if n <= GRID_TEXT_MOST:
                x, y = left + (j + 0.5) * side, top + (i + 0.5) * side + 4
                body.append(text(x, y, short(count), "middle", "value"))
    rows = [[labels[i], *row] for i, row in enumerate(counts)]
    return _chart(words, ["actual \\ predicted", *labels], rows, body, height=height)


def timeline(words: Words, spans: Sequence[tuple[str, float, float, str]]) -> Chart:
    """A bar for each (label, from, to, tone): when it was, in seconds. Tones are the chips' (wait, work, check …)."""
    row, left = 24.0, 96.0
    height = 14 + row * max(len(spans), 1) + BOTTOM
    last = max([end for _, _, end, _ in spans] or [1.0]) or 1.0
    unit, length = next((name, size) for name, size in UNITS if last >= 2 * size or size == 1)
    axis = Axis([0.0, last / length], f"{unit} {words.x}", zero=True)
    axis.high = 1.2 * last / length  # so that what a bar says has room behind it
    axis.at = [value for value in axis.at if value * length <= last]
    frame = Frame(axis, Axis([0, 1]), left=left, height=height)
    body = []
    for tick in axis.at:
        body.append(f'<path class="grid" d="M{frame.across(tick):.1f} 10V{height - BOTTOM:.1f}"/>')
        body.append(text(frame.across(tick), height - BOTTOM + 15, short(tick), "middle"))
    for i, (label, start, end, tone) in enumerate(spans):
        y, x = 12 + row * i, frame.across(start / length)
        body.append(text(left - 8, y + 14, clip(label, 15), "end", "value"))
        wide = max(frame.across(end / length) - x, 2.0)
        body.append(
            f'<rect class="span {escape(tone)}" x="{x:.1f}" y="{y + 2:.1f}" width="{wide:.1f}" height="17" rx="2"/>'
        )
        body.append(text(x + wide + 5, y + 14, _seconds(end - start), "start", "value"))
    body.append(text((left + WIDTH - RIGHT) / 2, height - 8, axis.label, "middle"))
    rows = [[label, start, end] for label, start, end, _ in spans]
    return _chart(words, ["phase", "from (s)", "to (s)"], rows, body, height=height)


def _seconds(value: float) -> str:
    if value >= 120:
        return f"{value / 60:,.0f} min" if value < 7200 else f"{value / 3600:,.1f} h"
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def sparkline(words: Words, labels: Sequence[str], values: Sequence[float]) -> Chart:
    """A line as small as a word, without axes; the last value has a dot. Empty values make an empty one."""
    wide, high = 120.0, 28.0
    low, top = min([*values, 0.0]), max([*values, 0.0])
    span = (top - low) or 1.0
    step = (wide - 8) / max(len(values) - 1, 1)
    places = [(3 + i * step, high - 4 - (high - 8) * (value - low) / span) for i, value in enumerate(values)]
    body = []
    if places:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        x, y = places[-1]
        body.append(f'<path class="line c0" d="M{path}"/><circle class="c0" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>')
    rows = [[label, value] for label, value in zip(labels, values, strict=True)]
    return _chart(words, [words.x or "at", words.y or "value"], rows, body, width=wide, height=high)


def _chart(
    words: Words,
    header: Sequence[str],
    rows: Sequence[Sequence[object]],
    body: Sequence[str],
    *,
    width: float = WIDTH,
    height: float = 290,
) -> Chart:
    return Chart(
        words.name, words.title, words.description, header, rows, "".join(body), words.note, width=width, height=height
    )
