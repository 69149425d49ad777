"""The ASGI application: HTTP, and the pages' WebSockets."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "computenet.settings")
django.setup()

from channels.routing import ProtocolTypeRouter  # noqa: E402  Django must be set up before anything that has rows

from marketplace.api import pulse  # noqa: E402
from marketplace.api.asgi_http import KeptThreadsHandler  # noqa: E402
from marketplace.api.body_limit import BodyLimit  # noqa: E402
from marketplace.api.origin import SocketGate  # noqa: E402
from marketplace.api.requests import LoopbackOnly, RequestIds  # noqa: E402
from marketplace.api.startup import require_guards, require_loopback  # noqa: E402
from marketplace.dashboard.routing import websocket  # noqa: E402

require_loopback(sys.argv)
require_guards()
pulse.start()
application = LoopbackOnly(
    RequestIds(ProtocolTypeRouter({"http": BodyLimit(KeptThreadsHandler()), "websocket": SocketGate(websocket)}))
)
