"""`manage.py demo`: three clients, three workers, three jobs on real data, and everything checked."""

from computenet.sandbox.demo.story import run

__all__ = ["run"]
