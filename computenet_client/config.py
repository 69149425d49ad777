"""Which network, as which client, with which key: from the environment, or from the file that `login` writes."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from computenet_client.errors import Refused


@dataclass(frozen=True)
class Config:
    """The network's address, the client's name, and the API key (None in a sandbox)."""

    url: str
    client: str | None = None
    key: str | None = None


def path() -> Path:
    """``~/.config/computenet/config.json``, or where XDG_CONFIG_HOME says."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "computenet" / "config.json"


def load() -> Config:
    """COMPUTENET_URL, COMPUTENET_CLIENT and COMPUTENET_API_KEY, each in the place of what the file says.

    A key goes only to the address that it was kept for: with another COMPUTENET_URL, the file's key is left out.

    Raises:
        Refused: neither says which network.
    """
    kept = _kept()
    url = os.environ.get("COMPUTENET_URL") or (kept.url if kept else None)
    if not url:
        raise Refused("Which network? Run `computenet login ADDRESS`, or set COMPUTENET_URL.")
    same = kept is not None and kept.url.rstrip("/") == url.rstrip("/")
    client = os.environ.get("COMPUTENET_CLIENT") or (kept.client if kept and same else None)
    key = os.environ.get("COMPUTENET_API_KEY") or (kept.key if kept and same else None)
    return Config(url, client, key)


def _kept() -> Config | None:
    file = path()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Config(str(found["url"]), found.get("client"), found.get("key"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise Refused(f"{file} cannot be read: delete it, and run `computenet login` again.") from None


def save(config: Config) -> Path:
    """Write the file, for its owner's eyes alone (0600), in one move."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent)  # made with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            json.dump(asdict(config), out, indent=2)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return file
