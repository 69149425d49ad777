"""The database's own guards: the triggers of `marketplace/sql`, made, dropped and compared with their file."""

import re
from pathlib import Path

from django.apps import apps
from django.db import connection

SQL = Path(__file__).resolve().parent.parent / "sql"
TRIGGER = re.compile(r"^CREATE TRIGGER (\w+) .*? ON (\w+)", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^CREATE FUNCTION (\w+)\(\).*?\$\$(.*?)\$\$;", re.MULTILINE | re.DOTALL)
DEFINITION = re.compile(r"^(CREATE TRIGGER .*?);", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r'(?:CONSTRAINT|UNIQUE INDEX) "(\w+)"')
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


def guarded_tables() -> set[str]:
    return {table for _, table in TRIGGER.findall(_text())}


def create_where_tables_are() -> bool:
    """Make the guards again, unless the tables that they guard are not there (before the first migration)."""
    if not guarded_tables() <= set(connection.introspection.table_names()):
        return False
    create()
    return True


def differences() -> list[str]:
    """Where the database's own rules differ from ours, a sentence each; empty when all are in place.

    A guard that is gone, is another, or is switched off; a trigger on our tables that is not ours; a constraint of a
    Django model that is gone.
    """
    expected, found = _expected(), _found()
    return [
        *(
            f"The database's guard {name} is {'missing' if name not in found else 'not the one in marketplace/sql'}."
            for name, text in sorted(expected.items())
            if found.get(name) != text
        ),
        *(f"The database's {name} is none of ours." for name in sorted(set(found) - set(expected))),
        *(f"The database's constraint {name} is missing." for name in sorted(_constraints() - _constraints_found())),
    ]


def _expected() -> dict[str, str]:
    if connection.vendor == "sqlite":
        return {f"trigger {_name(text)}": text.rstrip(";") for text in STATEMENT.findall(_text())}
    text = _text()
    functions = {f"function {name}": body for name, body in FUNCTION.findall(text)}
    return functions | {f"trigger {_name(each)}": " ".join(each.split()) for each in DEFINITION.findall(text)}


def _name(statement: str) -> str:
    return statement.split()[2]


def _found() -> dict[str, str]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT 'trigger ' || name, sql FROM sqlite_master WHERE type = 'trigger'")
            return dict(cursor.fetchall())
        cursor.execute(
            "SELECT 'function ' || proname, prosrc FROM pg_proc WHERE proname LIKE 'cn!_%' ESCAPE '!' "
            "AND pronamespace = current_schema()::regnamespace"
        )
        functions = dict(cursor.fetchall())
        cursor.execute(  # of the table as it is seen from here, so that the text is the file's
            "SELECT 'trigger ' || tgname, CASE tgenabled WHEN 'O' THEN pg_get_triggerdef(pg_trigger.oid, true) END "
            "FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND relname LIKE 'marketplace!_%' ESCAPE '!' "
            "AND relnamespace = current_schema()::regnamespace"
        )
        return functions | dict(cursor.fetchall())


def _constraints() -> set[str]:
    models = apps.get_app_config("marketplace").get_models()
    return {constraint.name for model in models for constraint in model._meta.constraints}


def _constraints_found() -> set[str]:
    """Names only: how a database writes a condition down is its own affair."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT sql FROM sqlite_master WHERE tbl_name LIKE 'marketplace!_%' ESCAPE '!'")
            texts = [text or "" for (text,) in cursor.fetchall()]
            return {name for text in texts for name in NAMED.findall(text)}
        cursor.execute("SELECT conname FROM pg_constraint UNION SELECT relname FROM pg_class WHERE relkind = 'i'")
        return {name for (name,) in cursor.fetchall()}
