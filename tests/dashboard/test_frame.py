"""What frames every page: colours, navigation, times, and errors that say what to do."""

from datetime import UTC, datetime

import pytest

from marketplace import filters
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
HTML = {"Accept": "text/html"}


def test_the_colours_are_in_the_page_that_the_server_sends(client):
    assert 'data-theme="auto"' in client.get("/dashboard/").content.decode()
    answer = client.post("/theme/", {"theme": "dark", "next": "/dashboard/?sort=gpu"})
    assert answer.headers["Location"] == "/dashboard/?sort=gpu"
    page = client.get("/dashboard/").content.decode()
    assert 'data-theme="dark"' in page and '<meta name="color-scheme" content="dark">' in page


def test_choosing_colours_leads_nowhere_else_and_takes_no_other_word(client):
    answer = client.post("/theme/", {"theme": "<script>", "next": "https://elsewhere.example/"})
    assert answer.headers["Location"] == "/dashboard/" and "theme" not in client.cookies
    client.cookies["theme"] = '"><script>'
    assert "<script>" not in client.get("/dashboard/").content.decode().split("<body>")[0].replace("</script>", "")


def test_everybody_is_shown_the_way_to_what_is_theirs_alone(client, settings):
    settings.SANDBOX = False
    client.force_login(cast.a_user("clara", roles=("client",)))
    page = client.get("/dashboard/").content.decode()
    assert ">Home</a>" in page and ">Account</a>" in page
    assert ">Admin</a>" not in page and ">Add a machine</a>" not in page
    client.force_login(cast.olga())
    assert ">Admin</a>" in client.get("/dashboard/").content.decode()


def test_an_error_says_what_why_what_to_do_and_its_id(client):
    answer = client.get("/moon/", headers={**HTML, "X-Request-ID": "0123456789abcdef"})
    page = answer.content.decode()
    assert answer.status_code == 404
    for words in ("There is nothing here", "not yours to see", "begin from the first page", "0123456789abcdef"):
        assert words in page


def test_a_failure_shows_its_page_without_asking_the_database(client, monkeypatch, django_assert_num_queries):
    client.raise_request_exception = False
    monkeypatch.setattr("marketplace.dashboard.views.show_home", lambda *about: 1 / 0)
    with django_assert_num_queries(0):
        answer = client.get("/dashboard/", headers=HTML)
    page = answer.content.decode()
    assert answer.status_code == 500
    assert "Something went wrong here" in page and "division" not in page


def test_a_time_carries_the_moment_itself_in_utc():
    html = filters.ago(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC))
    assert 'datetime="2026-03-04T05:06:07+00:00"' in html and 'title="2026-03-04 05:06:07.000000 UTC"' in html
    assert filters.at(None) == "never"
