"""What a contributor sets in the environment. Everything has a default but the coordinator's address and the key."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_CACHE_BYTES = 20_000_000_000


class SettingsError(ValueError):
    """A setting that cannot be used. The message is one sentence that names it and says what it should be."""


@dataclass(frozen=True)
class Settings:
    """The environment of one Celery worker process, read and checked."""

    home: Path  # COMPUTENET_WORKER_HOME: credentials, cache, spool; one for each process
    url: str = ""  # COMPUTENET_URL: the coordinator's address, "" where only kept credentials name it
    key: str = ""  # COMPUTENET_KEY: the enrolment key, needed once
    ca_file: str = ""  # COMPUTENET_CA_FILE: certificates to trust instead of the system's
    device: str = ""  # COMPUTENET_DEVICE: "cpu", or the number of a GPU; "" takes the first GPU there is
    gpu_type: str = ""  # COMPUTENET_GPU_TYPE: a GPU type set by hand, marked as simulated
    backend: str = ""  # COMPUTENET_BACKEND: "numpy", "torch" or "cupy"; "" takes what finds a GPU
    cache_bytes: int = DEFAULT_CACHE_BYTES  # COMPUTENET_CACHE_BYTES: what cached datasets may take on disk
    transport: str = ""  # COMPUTENET_TRANSPORT: "https" where only HTTPS gets out; "" leaves it to the coordinator
    stand_aside: bool = True  # COMPUTENET_STAND_ASIDE: "no" goes on while others compute on the GPU
    max_temperature_celsius: float = 0.0  # COMPUTENET_MAX_TEMPERATURE: above it no work is taken; 0 sets no limit
    hostname: str = ""  # COMPUTENET_HOSTNAME: what the coordinator calls this machine; "" takes the system's name


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of `environment` (of this process where None).

    Raises:
        SettingsError: a value that cannot be used.
    """
    env = os.environ if environment is None else environment

    def text(name: str) -> str:
        return env.get(name, "").strip()

    ca_file = text("COMPUTENET_CA_FILE")
    if ca_file and not Path(ca_file).is_file():
        raise SettingsError(f"COMPUTENET_CA_FILE names {ca_file}, and no such file is there.")
    device = text("COMPUTENET_DEVICE").lower()
    if not re.fullmatch(r"|cpu|(cuda:)?\d{1,3}", device):
        raise SettingsError(f'COMPUTENET_DEVICE must be "cpu" or the number of a GPU, not "{device}".')
    backend = text("COMPUTENET_BACKEND").lower()
    if backend not in ("", "numpy", "torch", "cupy"):
        raise SettingsError(f'COMPUTENET_BACKEND must be "numpy", "torch" or "cupy", not "{backend}".')
    transport = text("COMPUTENET_TRANSPORT").lower()
    if transport not in ("", "redis", "https"):
        raise SettingsError(f'COMPUTENET_TRANSPORT must be "redis" or "https", not "{transport}".')
    cache = text("COMPUTENET_CACHE_BYTES") or str(DEFAULT_CACHE_BYTES)
    if not re.fullmatch(r"\d{1,18}", cache):
        raise SettingsError(f'COMPUTENET_CACHE_BYTES must be a whole number of bytes, not "{cache}".')
    aside = text("COMPUTENET_STAND_ASIDE").lower() or "yes"
    if aside not in ("yes", "no"):
        raise SettingsError(f'COMPUTENET_STAND_ASIDE must be "yes" or "no", not "{aside}".')
    hottest = text("COMPUTENET_MAX_TEMPERATURE") or "0"
    if not re.fullmatch(r"\d{1,3}", hottest):
        raise SettingsError(f'COMPUTENET_MAX_TEMPERATURE must be a whole number of °C, not "{hottest}".')
    url = text("COMPUTENET_URL")
    return Settings(
        home=Path(text("COMPUTENET_WORKER_HOME") or "~/.computenet-worker").expanduser().resolve(),
        url=checked_url(url) if url else "",
        key=text("COMPUTENET_KEY"),
        ca_file=ca_file,
        device=device.removeprefix("cuda:"),
        gpu_type=text("COMPUTENET_GPU_TYPE"),
        backend=backend,
        cache_bytes=int(cache),
        transport=transport,
        stand_aside=aside == "yes",
        max_temperature_celsius=float(hottest),
        hostname=text("COMPUTENET_HOSTNAME"),
    )


def checked_url(url: str) -> str:
    """`url` without a slash at its end.

    Raises:
        SettingsError: not the address of an HTTP server.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
        usable = usable and parts.port != 0 and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            f'The coordinator\'s address "{url}" is not a web address; it should read like https://computenet.example.org.'
        )
    return url.rstrip("/")


def read_key_file(path: str) -> str:
    """The enrolment key that the file at `path` holds.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not text"
        raise SettingsError(f"The key file {path} cannot be read: {reason}.") from problem
