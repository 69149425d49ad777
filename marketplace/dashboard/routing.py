"""The WebSocket side of the pages, for `computenet.asgi` to mount behind its check of Host and Origin."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.urls import path, re_path

from marketplace.dashboard import consumers

websocket = AuthMiddlewareStack(
    URLRouter(
        [
            path("live/home/", consumers.HomeConsumer.as_asgi()),
            path("live/machines/", consumers.MachinesConsumer.as_asgi()),
            path("live/market/", consumers.MarketConsumer.as_asgi()),
            path("live/jobs/", consumers.JobsConsumer.as_asgi()),
            path("live/jobs/<uuid:job_id>/", consumers.JobConsumer.as_asgi()),
            path("live/workers/<str:name>/", consumers.WorkerConsumer.as_asgi()),
            re_path("", consumers.Nowhere.as_asgi()),
        ]
    )
)
