"""The pictures of the pages are there, in all four ways to look at them, and small."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURES = sorted((ROOT / "docs" / "images").glob("*.webp"))


def test_every_page_has_four_pictures_and_all_of_them_are_small() -> None:
    names = {file.stem.rsplit("-", 2)[0] for file in PICTURES}
    assert len(names) >= 15
    ways = [f"{scheme}-{size}" for scheme in ("light", "dark") for size in ("wide", "narrow")]
    assert {file.stem for file in PICTURES} == {f"{name}-{way}" for name in names for way in ways}
    assert sum(file.stat().st_size for file in PICTURES) < 3.2e6


def test_the_readme_shows_four_of_them() -> None:
    shown = re.findall(r"docs/images/[\w-]+\.webp", (ROOT / "README.md").read_text())
    assert len(shown) == 4 and all((ROOT / path).is_file() for path in shown)
