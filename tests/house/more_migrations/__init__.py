"""The marketplace's migrations and one more that expands: what an upgrade does to a running network."""

from marketplace import migrations

__path__ = [*migrations.__path__, *__path__]
