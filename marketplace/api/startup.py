"""What must hold before the web process answers anything."""

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.db import DatabaseError, connection

from marketplace.api.requests import is_loopback
from marketplace.models import guards


def _differences() -> list[str]:
    try:
        return guards.differences()
    finally:
        connection.close()


def require_loopback(arguments: list[str]) -> None:
    """End the process with one sentence where the sandbox was told to listen on an address that others reach."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        host = following if argument == "--host" else argument.removeprefix("--host=")
        named = argument == "--host" or argument.startswith("--host=")
        if settings.SANDBOX and named and not is_loopback(host):
            raise SystemExit(
                f"The sandbox is open to everyone and must not listen on {host}: leave --host out, or run the network "
                "without COMPUTENET_SANDBOX."
            )


def require_guards() -> None:
    """End the process with one sentence unless the database holds every guard of `marketplace/sql`.

    Asked in a thread of its own: a server may import the application inside its event loop, where Django refuses
    to speak to a database.
    """
    with ThreadPoolExecutor(1) as pool:
        try:
            found = pool.submit(_differences).result()
        except DatabaseError as error:
            raise SystemExit(f"The database cannot be asked for its guards: {str(error).strip()}.") from None
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise SystemExit(f"{found[0].rstrip('.')}{more}; run `python manage.py migrate`, which makes them again.")
