"""A database with real commits that waits for no disk: what a crash of the whole machine leaves is not tried here."""

import pytest
from django.db import connection


@pytest.fixture
def quick_db(committed_db):
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA journal_mode = MEMORY")
    return committed_db
