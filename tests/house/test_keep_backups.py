"""A folder of backups: the newest is `latest`, the oldest go, and nothing else in it is touched."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from marketplace.actions import backup, backup_series
from marketplace.management.commands import keep_backups

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for backups of a home with one file; PostgreSQL's dump is `test_backup.py`'s."""
    settings.COMPUTENET_HOME = tmp_path / "home"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "log_key").write_text("a key")
    monkeypatch.setattr(backup, "_copy_sqlite", lambda target: target.touch())
    monkeypatch.setattr(backup, "_run", lambda *arguments: Path(arguments[-1].removeprefix("--file=")).touch())
    return tmp_path / "backups"


def finished(folder: Path) -> list[str]:
    return [each.name for each in backup_series.finished(folder)]


def test_the_newest_is_the_latest_and_the_oldest_go(folder: Path) -> None:
    for hour in range(4):
        made = backup_series.make_next(folder, keep=2, now=NOON + timedelta(hours=hour))
        assert (folder / "latest").resolve() == made[0].parent
    assert finished(folder) == ["2026-11-24T140000Z", "2026-11-24T150000Z"]
    assert oct(folder.stat().st_mode & 0o777) == "0o700" and (folder / "latest" / "files.tar").is_file()


def test_what_others_keep_there_stays(folder: Path) -> None:
    for name in ("by-hand", "2026-11-24", "2026-11-24T120000Z.old"):
        (folder / name).mkdir(parents=True)
    backup_series.make_next(folder, keep=1, now=NOON)
    backup_series.make_next(folder, keep=1, now=NOON + timedelta(days=1))
    assert {each.name for each in folder.iterdir()} == {
        "by-hand", "2026-11-24", "2026-11-24T120000Z.old", "2026-11-25T120000Z", "latest",
    }  # fmt: skip


def test_a_backup_that_fails_costs_none_of_those_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backup_series.make_next(folder, keep=1, now=NOON)

    def fails(*arguments: Any) -> None:
        raise backup.Failed("pg_dump failed: no.")

    with monkeypatch.context() as broken:
        broken.setattr(backup, "_copy_sqlite", fails)
        broken.setattr(backup, "_run", fails)
        with pytest.raises(CommandError, match="No backup: pg_dump failed"):
            call_command("keep_backups", folder, keep=1)
    assert finished(folder) == ["2026-11-24T120000Z"]
    assert (folder / "latest").resolve().name == "2026-11-24T120000Z"
    assert len(list(folder.glob("*/unfinished"))) == 1
    backup_series.make_next(folder, keep=2, now=NOON + timedelta(hours=1))  # what was broken off is gone
    assert not list(folder.glob("*/unfinished")) and len(finished(folder)) == 2


def test_the_next_is_due_when_the_newest_is_old_enough(folder: Path) -> None:
    day = 24 * 3600.0
    assert backup_series.due_in_seconds(folder, every_seconds=day, now=NOON) == 0
    backup_series.make_next(folder, keep=1, now=NOON)
    for later, wait in ((0, day), (3600, day - 3600), (day, 0), (2 * day, 0), (-day, day)):
        now = NOON + timedelta(seconds=later)
        assert backup_series.due_in_seconds(folder, every_seconds=day, now=now) == wait


class Enough(Exception):
    pass


def test_the_command_makes_one_at_once_and_then_waits_for_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise Enough

    monkeypatch.setattr(keep_backups.time, "sleep", wait)
    said = StringIO()
    with pytest.raises(Enough):
        call_command("keep_backups", folder, every=24, stdout=said)
    assert len(finished(folder)) == 1 and "files.tar" in said.getvalue()
    assert waits == [0, 60, 60]


@pytest.mark.parametrize("wrong", [("--keep", "0"), ("--keep", "x"), ("--every", "0"), ("--every", "nan")])
def test_a_schedule_that_makes_no_sense_is_refused(folder: Path, wrong: tuple[str, str]) -> None:
    with pytest.raises(CommandError, match=wrong[0]):
        call_command("keep_backups", str(folder), *wrong)
    assert not folder.exists()
