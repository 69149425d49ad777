"""All of the real migrations and one to come, to see what a migration leaves of the guards."""

from marketplace import migrations

__path__ += migrations.__path__
