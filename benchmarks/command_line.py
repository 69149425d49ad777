"""What the measurements share: their command line, and the environment of a process on a database of its own."""

import argparse
import json
import os
import secrets
from collections.abc import Callable
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """One that knows `--json`."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", action="store_true", help="print one JSON document")
    return made


def report(found: Any, show: Callable[[Any], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
    else:
        show(found)


def environment(database_url: str, home: str) -> dict[str, str]:
    """For a process that runs the network's own actions on this database."""
    return os.environ | {
        "DATABASE_URL": database_url,
        "COMPUTENET_HOME": home,
        "COMPUTENET_SANDBOX": "1",
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DJANGO_SETTINGS_MODULE": "computenet.settings",
        "LOG_LEVEL": "WARNING",
    }
