"""What lies on the disk."""

from pathlib import Path

from django.conf import settings


def files() -> set[Path]:
    return {path for path in (settings.COMPUTENET_HOME / "files").rglob("*") if path.is_file()}
