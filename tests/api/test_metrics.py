"""What a monitor reads: the network's figures as the tables have them, in few statements, and for whom they are."""

import re
from typing import Any

import pytest
import redis
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from marketplace import dispatch
from marketplace.actions import coordination, figures
from marketplace.api import metrics
from marketplace.models import Account, Job, Verdict
from tests import factories as make
from tests.api.calls import is_refused
from tests.dashboard import cast
from workers.protocol import TASK_NAME

pytestmark = pytest.mark.django_db
KEY = "a-monitors-own-key-of-some-length"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: Any) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    figures._known.clear()


def read(client: Client, **headers: str) -> dict[str, float]:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain"), answer.content
    lines = re.findall(r"^(computenet_[^ ]+) ([^ ]+)$", answer.content.decode(), re.MULTILINE)
    return {name: float(value) for name, value in lines}


def test_the_figures_are_what_the_tables_hold(client: Client) -> None:
    make.make_client()
    make.make_worker()
    make.run_to_end(make.make_job())
    wrong = make.assign(make.make_job())
    make.start(wrong)
    make.submit_answer(wrong, make.wrong_answer(wrong.job))
    make.verify(wrong)
    coordination.run_cycle(assign=False)
    found = read(client)
    for state in ("pending", "assigned", "verified", "failed"):
        assert found[f'computenet_jobs{{state="{state}"}}'] == Job.objects.filter(state=state).count()
    assert found['computenet_verdicts_total{outcome="accepted"}'] == 1
    assert found['computenet_verdicts_total{outcome="rejected"}'] == 1
    assert found["computenet_verification_seconds_total"] == pytest.approx(
        sum(Verdict.objects.values_list("seconds", flat=True))
    )
    kinds = {account.kind for account in Account.objects.all()}
    for kind in kinds:
        held = sum(Account.objects.filter(kind=kind).values_list("balance", flat=True)) / 1e6
        assert found[f'computenet_ledger_tokens{{kind="{kind}"}}'] == pytest.approx(held), kind
    assert sum(value for name, value in found.items() if "ledger_tokens" in name) == pytest.approx(0, abs=1e-6)
    assert found['computenet_workers{kind="online"}'] == 1
    assert 0 <= found["computenet_beat_age_seconds"] < 60 and found["computenet_oldest_pending_job_seconds"] > 0
    assert found['computenet_queue_messages{queue="verification"}'] >= 0


def test_verdicts_are_counted_once_however_often_one_asks(client: Client) -> None:
    make.make_client()
    make.make_worker()
    for expected in (1, 2):
        make.run_to_end(make.make_job())
        for _ in range(3):
            assert read(client)['computenet_verdicts_total{outcome="accepted"}'] == expected
        Verdict.objects.all()  # those a minute old are not read again
    known = next(iter(figures._known.values()))
    assert known.up_to == 0  # none is so old yet


def test_requests_are_counted_by_route_and_never_by_path(client: Client) -> None:
    route = 'computenet_http_requests_total{method="GET",route="/worker/<name:name>/status",status="404"}'
    other = 'computenet_http_requests_total{method="GET",route="other",status="404"}'
    before = read(client).get(other, 0)
    for path in ("/worker/nobody/status", "/no/such/path", "/another"):
        client.get(path)
    found = read(client)
    assert route not in found and found[other] == before + 3
    assert found['computenet_http_request_seconds_count{method="GET",route="/metrics"}'] >= 1


def test_asking_costs_a_fixed_number_of_statements(client: Client) -> None:
    make.make_client()
    make.make_worker()
    counts = []
    for jobs in (1, 5):
        for _ in range(jobs):
            make.make_job()
        with CaptureQueriesContext(connection) as queries:
            read(client)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 20, counts


def test_several_monitors_at_once_ask_the_database_once(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(metrics, "FRESH_SECONDS", 60.0)
    monkeypatch.setattr(figures, "read", lambda original=figures.read: asked.append(1) or original())
    asked: list[int] = []
    collector = metrics.NetworkCollector()
    for _ in range(3):
        assert list(collector.collect())
    assert len(asked) <= 1


def test_a_monitor_is_told_that_the_database_is_away(client: Client, monkeypatch: Any) -> None:
    assert read(client)["computenet_database_up"] == 1

    def refuse() -> None:
        raise OperationalError("away")

    monkeypatch.setattr(metrics, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(figures, "read", refuse)
    found = {family.name: family for family in metrics.NetworkCollector().collect()}
    assert list(found) == ["computenet_database_up"]
    assert found["computenet_database_up"].samples[0].value == 0


def test_outside_the_sandbox_it_is_for_operators_and_the_monitors_key(client: Client, settings: Any) -> None:
    olga, alice = cast.olga(), cast.alice()
    settings.SANDBOX = False
    is_refused(client.get("/metrics"), 401)
    is_refused(client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}), 401)  # no key is set
    settings.METRICS_KEY = KEY
    assert read(client, Authorization=f"Bearer {KEY}", Accept="application/openmetrics-text, text/plain;q=0.5")
    is_refused(client.get("/metrics", headers={"Authorization": "Bearer another"}), 401)
    is_refused(client.get("/workers", headers={"Authorization": f"Bearer {KEY}"}), 401)
    for user, status in ((olga, 200), (alice, 403)):
        http = Client()
        http.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        assert http.get("/metrics").status_code == status


def test_a_message_that_redis_does_not_take_is_counted(client: Client, monkeypatch: Any) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("away")

    monkeypatch.setattr("marketplace.dispatch.current_app.send_task", refuse)
    name = 'computenet_dispatch_failures_total{task="marketplace.verify"}'
    before = read(client).get(name, 0)
    dispatch.verify_now("x")
    assert read(client)[name] == before + 1


def test_messages_to_machines_that_redis_does_not_take_are_counted_and_raise_nothing(
    client: Client, monkeypatch: Any
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError("away")

    monkeypatch.setattr("redis.client.Pipeline.execute", lost)
    name = f'computenet_dispatch_failures_total{{task="{TASK_NAME}"}}'
    before = read(client).get(name, 0)
    dispatch.send_assignments([dispatch.Message(str(n), "w-none") for n in range(3)])
    assert read(client)[name] == before + 1
