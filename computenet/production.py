"""What must be set before the network may run outside the sandbox."""

from collections.abc import Mapping
from urllib.parse import urlsplit

# What people leave standing: the examples of documentation and of other projects.
DEFAULTS = {
    *("admin", "change-me", "changeme", "computenet", "default", "django", "example", "foobared", "insecure", "owner"),
    *("password", "postgres", "redis", "root", "secret", "test"),
}


def _is_default(secret: str) -> bool:
    bare = secret.lower().strip("<>\"' ")
    return bare in DEFAULTS or bare.startswith(("change", "django-insecure", "your-", "todo"))


def problem(given: Mapping[str, str]) -> str:
    """What is missing of the secrets and names in the environment, as one sentence; "" if nothing is."""
    key = given.get("SECRET_KEY", "")
    if len(key) < 50 or len(set(key)) < 5 or _is_default(key):
        return (
            "Set SECRET_KEY to a long random text of your own, such as `openssl rand -base64 48` prints "
            "(or COMPUTENET_SANDBOX=1 for the open sandbox on this machine)."
        )
    hosts = [host for host in given.get("ALLOWED_HOSTS", "").split(",") if host.strip()]
    if not hosts or "*" in hosts:
        return "Set ALLOWED_HOSTS to the host names of this network, such as compute.example.org; * is none."
    for name, wanted in (("DATABASE_URL", False), ("REDIS_URL", True)):
        url = urlsplit(given.get(name, ""))
        password = url.password or ""
        if (wanted and url.scheme != "unix" and not password) or (password and _is_default(password)):
            return f"Set a long random password in {name}; it has {'a well-known one' if password else 'none'}."
    return ""
