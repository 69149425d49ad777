"""Wiring: settings, URLs, the ASGI application and the coordinator's Celery application. No behaviour."""

from computenet.celery import app as celery_app

__all__ = ["celery_app"]
