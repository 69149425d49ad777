"""What a process of this host needs to work for the coordinator, read from the environment and the kept folder.

A pool's child process, forked or spawned, builds its own from the same two.
"""

from dataclasses import dataclass
from functools import lru_cache

from workers.client import Client
from workers.datasets import Cache
from workers.home import Credentials, Home, HomeError
from workers.running import Board
from workers.settings import Settings, read_settings
from workers.spool import Spool
from workers.together import Offer, Starts


@dataclass(frozen=True)
class Host:
    settings: Settings
    credentials: Credentials
    client: Client
    board: Board
    spool: Spool
    cache: Cache
    offer: Offer
    starts: Starts


@lru_cache(maxsize=1)
def this_host() -> Host:
    """
    Raises:
        HomeError: this host has not enrolled yet.
    """
    settings = read_settings()
    home = Home(settings.home)
    credentials = home.credentials()
    if credentials is None:
        raise HomeError(f"{home.path} holds no credentials; start the Celery worker with an enrolment key.")
    client = Client(credentials.server, ca_file=settings.ca_file, authorization=credentials.authorization)
    offer = Offer()
    return Host(
        settings=settings,
        credentials=credentials,
        client=client,
        board=Board(home.running),
        spool=Spool(home.spool),
        cache=Cache(home.cache, settings.cache_bytes),
        offer=offer,
        starts=Starts(client, offer),
    )
