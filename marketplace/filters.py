"""How amounts, states, times and sizes are written: filters that every template has, and the admin's columns use."""

from datetime import datetime
from typing import Any, NamedTuple

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from marketplace.domain.money import in_digits, in_words
from marketplace.domain.words import counted
from marketplace.models import Account, Dataset, Worker
from workers.catalog.gpus import KNOWN_GPUS
from workers.protocol import gpu_tag

register = template.Library()


class State(NamedTuple):
    label: str
    sign: str  # beside the colour, never colour alone
    tone: str  # a class of the style sheet


STATES = {
    # of a job
    "pending": State("pending", "…", "wait"),
    "assigned": State("assigned", "→", "work"),
    "computing": State("computing", "▸", "work"),
    "completed": State("being checked", "?", "check"),
    "verified": State("verified", "✓", "good"),
    "failed": State("failed", "✕", "bad"),
    "cancelled": State("cancelled", "–", "off"),
    # of an assignment
    "dispatched": State("dispatched", "→", "work"),
    "started": State("computing", "▸", "work"),
    "submitted": State("being checked", "?", "check"),
    "accepted": State("accepted", "✓", "good"),
    "rejected": State("rejected", "✕", "bad"),
    "inconclusive": State("inconclusive", "?", "check"),
    "lost": State("lost", "✕", "bad"),
    # of a worker
    "idle": State("idle", "✓", "good"),
    "busy": State("busy", "▸", "work"),
    "silent": State("silent", "…", "wait"),
    "draining": State("draining", "→", "wait"),
    "inactive": State("inactive", "–", "off"),
    # of a contest
    "open": State("open", "…", "wait"),
    "upheld": State("upheld", "–", "off"),
    "overturned": State("overturned", "✓", "good"),
    # of coordination
    "on": State("on", "✓", "good"),
    "off": State("off", "–", "off"),
}


@register.filter
def word(state: str) -> str:
    """What people read for a state."""
    return STATES[state].label if state in STATES else state


@register.filter
def chip(state: str) -> SafeString:
    """A state as its word and sign, in its colour."""
    label, sign, tone = STATES.get(state, State(state, "•", "off"))
    return format_html(
        '<span class="chip {}" data-state="{}"><span aria-hidden="true">{}</span> {}</span>', tone, state, sign, label
    )


@register.filter
def tokens(micro: int | None) -> str:
    """Micro-tokens as tokens: 1234500000 → "1,234.5"."""
    return "unknown" if micro is None else in_digits(micro)


register.filter("in_tokens", in_words)
register.filter(counted)


@register.filter
def account(row: Account) -> str:
    """An account as people read it: a wallet by its name alone, a job's escrow without the job's long id."""
    if row.kind == "escrow":
        return "escrow"
    return row.name if row.kind in ("wallet", row.name) else f"{row.kind} of {row.name}"


@register.filter
def amount(value: int | float) -> str:
    """An amount that is in tokens already: 1234.5 → "1,234.5"."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


@register.filter
def number(value: Any) -> str:
    """A number to six significant digits; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}"


# Times are written in UTC; the pages' script puts them into the viewer's zone, and keeps UTC in the title.


@register.filter
def at(moment: datetime | None) -> SafeString | str:
    """A moment to the second, machine-readable too."""
    if moment is None:
        return "never"
    return _time(moment, "at", f"{moment:%Y-%m-%d %H:%M:%S} UTC")


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """A moment that matters by how long ago it was: the script says "3 min ago", the title has the moment itself."""
    if moment is None:
        return "never"
    return _time(moment, "ago", f"{moment:%Y-%m-%d %H:%M:%S} UTC")


@register.filter
def clock(moment: datetime) -> SafeString:
    """A moment of a day to the millisecond, for things that follow each other fast; the day is in its title."""
    return _time(moment, "clock", f"{moment:%b %-d, %H:%M:%S}.{moment.microsecond // 1000:03}")


def _time(moment: datetime, kind: str, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}" data-time="{}">{}</time>',
        moment.isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC",
        kind,
        text,
    )


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds to three digits, in the unit that fits: 0.0025 → "2.5 ms"."""
    if seconds is None:
        return "unknown"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 600:
        return f"{seconds:.3g} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:,.0f} min"
    return f"{seconds / 3600:,.3g} h" if seconds < 48 * 3600 else f"{seconds / 86400:,.3g} days"


@register.filter
def data_name(dataset: Dataset) -> str:
    """What people call a dataset: its file, or what it is where there was none."""
    if dataset.sample:
        return "a sample that the network made"
    return f"data sent with a job ({dataset.pk[:8]})" if dataset.label == "inline" else str(dataset)


@register.filter
def beside(check_seconds: float, fit_seconds: float) -> str:
    """What checking took beside computing: "2.5 ms, 4.2 % of the 60 ms of computing"."""
    if not fit_seconds:
        return duration(check_seconds)
    share = 100 * check_seconds / fit_seconds
    return f"{duration(check_seconds)}, {share:,.3g} % of the {duration(fit_seconds)} of computing"


@register.filter
def size(count: int | None) -> str:
    """Bytes in the unit that fits: 25769803776 → "24.0 GiB"."""
    if not count:
        return "unknown"
    power = min((count.bit_length() - 1) // 10, 4)
    unit = ("bytes", "KiB", "MiB", "GiB", "TiB")[power]
    return f"{count:,} bytes" if power == 0 else f"{count / 1024**power:,.1f} {unit}"


@register.filter
def tflops(rate: float) -> str:
    """A measured rate to two digits: what follows them changes from one measurement to the next."""
    return number(float(f"{rate:.2g}"))


@register.filter
def measured(worker: Worker) -> str:
    """What a worker showed of what it claims: "measured 0.21 of 82.6 claimed TFLOPS, doubted"."""
    if worker.host_id:
        return "not measured: another machine stands in for it"
    if worker.measured_rate is None and not worker.claim_doubted:
        return "not measured yet"
    rate = worker.measured_rate
    shown = "showed nothing" if rate is None else f"measured {tflops(rate)}"
    claim = f"{shown} of {number(worker.compute_capacity)} claimed TFLOPS"
    if not worker.claim_doubted:
        return claim
    return f"{claim}, simulated" if worker.device.get("simulated") else f"{claim}, doubted"


GPU_NAMES = {gpu_tag(name): name for name in KNOWN_GPUS}


@register.filter
def gpu_name(tag: str) -> str:
    """A GPU as people write it, for the tag that demands are kept by."""
    return GPU_NAMES.get(tag, tag.upper() if tag == "cpu" else tag)


@register.filter
def chosen(why: dict[str, Any]) -> str:
    """Why a worker was given a job, as `Assignment.why` keeps it, in words."""
    if "able" not in why:
        return f"chosen by {why.get('by', 'the coordinator')}"
    able = why["able"]
    said = "the only one that could" if able == 1 else f"its turn came first among the {able} that could"
    rank = f"; rank {why['rank']:.2f}" + (f", the best {why['best_rank']:.2f}" if able > 1 else "")
    return said + (rank if why.get("rank") is not None else "") + ("; it stands by" if why.get("standby") else "")


@register.filter
def percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{fraction * 100:.0f} %"


@register.filter
def short(value: Any) -> str:
    """The first part of a UUID or a hash, enough to tell one from another on a page."""
    return str(value)[:8]
