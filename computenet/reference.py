"""`docs/settings.md`, made from the code: ``python -m computenet.reference > docs/settings.md``; a test compares."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READERS = {"str", "bool", "int", "float", "list", "db", "email_url"}
MEANINGS = {
    "ALLOWED_HOSTS": "host names that the web answers to, separated by commas; needed outside the sandbox",
    "BEHIND_PROXY": "1 where a proxy ends TLS and says so in `X-Forwarded-Proto`",
    "BODY_IDLE_SECONDS": "seconds without a byte, after which a request's body is given up",
    "CHECKPOINT_SECONDS": "how often at most the sealed log's checkpoints are signed",
    "COMPUTENET_HOME": "the folder of database, datasets, results, logs and secrets",
    "COMPUTENET_SANDBOX": "1 is the open mode of `make run`: no log-in, money for the asking, on the loopback alone",
    "CORS_ALLOWED_ORIGINS": "origins whose pages may call the API, separated by commas",
    "CSRF_TRUSTED_ORIGINS": "origins whose forms are taken, separated by commas",
    "DATABASE_KEEP": "1 has each thread keep its connection to the database; for the web",
    "DATABASE_POOL": "1 keeps a pool of PostgreSQL connections; for Celery with `-P threads`",
    "DATABASE_PREPARE": "0 where PgBouncer keeps no prepared statements (`max_prepared_statements`)",
    "DATABASE_URL": "such as `postgres://user:password@host/name`",
    "EMAIL_FROM": "the sender of mails",
    "EMAIL_URL": "how mail is sent, such as `smtp+tls://user:password@mail.example.org:587`",
    "EMAIL_VERIFICATION": "`mandatory`, `optional` or `none`",
    "FAUCET_DAILY_CAP": "tokens that the faucet gives to all together in a day (UTC)",
    "FAUCET_TOKENS": "tokens that the faucet gives once to each account with a confirmed address; 0 turns it off",
    "HSTS_SECONDS": "how long browsers are told to insist on TLS",
    "HSTS_SUBDOMAINS": "whether that holds for names below it as well",
    "LOG_FORMAT": "`line` for people, `json` for programs",
    "LOG_KEY": "the Ed25519 key that signs checkpoints, 64 hexadecimal digits; the home keeps one otherwise",
    "LOG_LEVEL": "`DEBUG`, `INFO`, `WARNING` or `ERROR`",
    "LOGIN_FAILURE_LIMIT": "failed log-ins at one name from one address, before it has to wait",
    "LOGIN_LOCKOUT_SECONDS": "for so long",
    "MAX_BODY_BYTES": "the largest body of a call",
    "MATRIX_AT_ONCE_CELLS": "the most cells of a table, and of its matrix, for a recipe to be followed at once",
    "MAX_MATRIX_CELLS": "the most cells that a dataset's matrix may have",
    "MAX_RESULT_BYTES": "the largest answer of a worker",
    "MAX_UPLOAD_BYTES": "the largest upload of a dataset",
    "MAX_DATASET_BYTES": "the largest file that comes in parts",
    "UPLOAD_PART_BYTES": "of each of its parts but the last",
    "METRICS_KEY": "opens `GET /metrics` to Prometheus (20 characters or more); else operators alone may",
    "OIDC_CLIENT_ID": "this network's name at the single sign-on provider",
    "OIDC_CLIENT_SECRET": "its secret there",
    "OIDC_ID": "the provider's name in addresses",
    "OIDC_NAME": "the provider's name on the log-in page",
    "OIDC_SERVER_URL": "an OpenID Connect provider; empty for none",
    "PUBLIC_BROKER_URL": "where contributors' machines reach Redis",
    "PUBLIC_URL": "where people and contributors' machines reach the web; needed outside the sandbox",
    "REDIS_URL": "such as `redis://coordinator:password@host:6379/0`; the sandbox starts one of its own",
    "SECRET_KEY": "Django's key for sessions and signatures; made and kept by the sandbox, needed elsewhere",
    "SECURE_SSL_REDIRECT": "whether plain HTTP is sent on to TLS",
    "SIGNUP": "who may sign up: `closed`, `invitation` or `open`",
    "SIGNUP_ROLES": "the roles of who signs up without an invitation",
    "STATIC_ROOT": "the folder of collected static files",
    "THROTTLE_ADDRESS": "calls a minute from one address; a hundred times as many in the sandbox",
    "THROTTLE_USER": "calls a minute by one user; a hundred times as many in the sandbox",
    "WEBHOOK_HOSTS": "exact host names that notices may be sent to, separated by commas",
    "WORKER_UPGRADE_COMMAND": "what contributors of workers that are too old are told to run",
}
COMPUTED = {  # defaults that are no plain values
    "COMPUTENET_HOME": ".computenet",
    "DATABASE_URL": "SQLite in COMPUTENET_HOME",
    "EMAIL_VERIFICATION": "optional; mandatory where SIGNUP is open",
    "PUBLIC_BROKER_URL": "",
    "SECRET_KEY": "",
    "STATIC_ROOT": "static in COMPUTENET_HOME",
}
SANDBOX = {
    "PORT": ("5000", "where `make run` listens, on the loopback"),
    "VERBOSE": ("", "1 shows every process's log on the sandbox's terminal"),
    "KEEP": ("", "1 leaves the demo's network running"),
}


def page() -> str:
    """
    Raises:
        KeyError: a setting that `MEANINGS` does not explain.
    """
    server = {name: (default, MEANINGS[name]) for name, default in sorted(_server())}
    return "\n".join(
        [
            "# Settings",
            "",
            "All come from the environment. This page is made from the code: `python -m computenet.reference`.",
            "",
            *_section("Web, coordinator, verifier and beat", server),
            *_section("Sandbox and demo", SANDBOX),
            *_section("On a GPU host", _worker()),
            "## Rules of the economy",
            "",
            "The server reads each as `POLICY_<NAME>`, such as `POLICY_MINIMUM_STAKE`; "
            "[Stakes, slashes, reputation](economy.md) explains them.",
            "",
            *_table(_commented("marketplace/domain/policy.py", "Policy", prefix="POLICY_")),
        ]
    )


def _section(title: str, rows: dict[str, tuple[str, str]]) -> list[str]:
    return [f"## {title}", "", *_table(rows)]


def _table(rows: dict[str, tuple[str, str]]) -> list[str]:
    lines = [f"| `{name}` | {f'`{default}`' if default else ''} | {said} |" for name, (default, said) in rows.items()]
    return ["| variable | default | what it is |", "| --- | --- | --- |", *lines, ""]


def _server() -> Iterator[tuple[str, str]]:
    """Each variable that settings.py reads, with its default as the code has it."""
    for node in ast.walk(ast.parse((ROOT / "computenet" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
            reads = isinstance(node.func.value, ast.Name) and node.func.value.id == "env"
            if reads and isinstance(node.args[0], ast.Constant):
                default = next((each.value for each in node.keywords if each.arg == "default"), None)
                yield (name := str(node.args[0].value)), COMPUTED[name] if name in COMPUTED else _shown(default)


def _shown(default: ast.expr | None) -> str:
    text = "" if default is None else ast.unparse(default)
    return "" if text in ("''", "[]") else text.strip("'")


def _worker() -> dict[str, tuple[str, str]]:
    found = _commented("workers/settings.py", "Settings")
    rows = {}
    for default, said in found.values():
        name, _, meaning = said.partition(": ")
        rows[name] = ("~/.computenet-worker" if name == "COMPUTENET_WORKER_HOME" else default, meaning)
    return rows


def _commented(path: str, kind: str, prefix: str = "") -> dict[str, tuple[str, str]]:
    """A dataclass's fields: their defaults, and what the comment behind each says."""
    text = (ROOT / path).read_text()
    lines = text.splitlines()
    [made] = [n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == kind]
    rows = {}
    for node in made.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            _, _, comment = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")
            default = "" if node.value is None else ast.unparse(node.value)
            shown = "" if default == "''" else default
            shown = {"DEFAULT_CACHE_BYTES": "20000000000", "True": "yes", "False": "no"}.get(default, shown)
            name = prefix + node.target.id.upper() if prefix else node.target.id
            rows[name] = (shown, re.sub(r"\|", "/", comment))
    return rows


if __name__ == "__main__":
    sys.stdout.write(page())
