"""How a count reads in a sentence."""


def counted(count: int | float, noun: str) -> str:
    """A count with its noun: 1 → "1 row", 1200 → "1,200 rows"; `noun` may name both: "entry,entries"."""
    one, _, many = noun.partition(",")
    digits = f"{count:,}" if isinstance(count, int) else f"{count:,.6f}".rstrip("0").rstrip(".")
    return f"{digits} {one if count == 1 else many or f'{one}s'}"
