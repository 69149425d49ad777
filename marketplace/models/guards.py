"""The database's own guards: the triggers of `marketplace/sql`, made, dropped and compared with their file."""

import re
from pathlib import Path

from django.db import connection

SQL = Path(__file__).resolve().parent.parent / "sql"
TRIGGER = re.compile(r"^CREATE TRIGGER (\w+) .*? ON (\w+)", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^CREATE FUNCTION (\w+)\(\).*?\$\$(.*?)\$\$;", re.MULTILINE | re.DOTALL)
STATEMENT = re.compile(r"^CREATE TRIGGER \w+ .*?^END;", re.MULTILINE | re.DOTALL)


def _text() -> str:
    return (SQL / f"{connection.vendor}.sql").read_text()


def drop() -> None:
    """Drop every guard that the database has, so that a migration may alter its tables."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'cn!_%' ESCAPE '!'")
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TRIGGER "{name}"')
        else:
            cursor.execute(
                "SELECT proname FROM pg_proc WHERE proname LIKE 'cn!_%' ESCAPE '!' AND "
                "pronamespace = current_schema()::regnamespace"
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP FUNCTION "{name}"() CASCADE')


def create() -> None:
    """Make every guard of the file."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for statement in STATEMENT.findall(_text()):
                cursor.execute(statement)
        else:
            cursor.execute(_text())


def create_where_tables_are() -> bool:
    """Make the guards again, unless the tables that they guard are not there (before the first migration)."""
    tables = set(connection.introspection.table_names())
    if not all(table in tables for _, table in TRIGGER.findall(_text())):
        return False
    create()
    return True


def differences() -> list[str]:
    """Where the database's guards differ from the file, a sentence each; empty when all are in place."""
    expected, found = _expected(), _found()
    return [
        f"The database's guard {name} is {'missing' if name not in found else 'not the one in marketplace/sql'}."
        for name, text in sorted(expected.items())
        if found.get(name) != text
    ]


def _expected() -> dict[str, str]:
    if connection.vendor == "sqlite":
        return {TRIGGER.findall(text)[0][0]: text.rstrip(";") for text in STATEMENT.findall(_text())}
    text = _text()
    return {f"function {name}": body for name, body in FUNCTION.findall(text)} | {
        f"trigger {name}": table for name, table in TRIGGER.findall(text)
    }


def _found() -> dict[str, str]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            return dict(cursor.fetchall())
        cursor.execute("SELECT 'function ' || proname, prosrc FROM pg_proc WHERE proname LIKE 'cn!_%' ESCAPE '!'")
        functions = dict(cursor.fetchall())
        cursor.execute(
            "SELECT 'trigger ' || tgname, relname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND tgenabled = 'O'"
        )
        return functions | dict(cursor.fetchall())
