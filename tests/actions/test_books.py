"""A replay of the books sees one moment, and keeps nobody waiting."""

import threading

from django.db import connection

from marketplace.actions import books
from marketplace.models import Account
from tests import factories


def test_a_replay_sees_one_moment_while_others_write(committed_db):
    factories.make_client("ada")
    with books.one_moment():
        before = Account.objects.count()

        def write() -> None:
            factories.make_client("grace")
            connection.close()

        other = threading.Thread(target=write)
        other.start()
        other.join(10)
        assert not other.is_alive()  # no lock kept it waiting
        assert Account.objects.count() == before
    assert Account.objects.count() == before + 1
