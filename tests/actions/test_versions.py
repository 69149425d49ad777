"""Machines of other versions: who is served, who is drained, and what each is told."""

from typing import Any

import pytest
from django.test import Client

from marketplace.actions import coordination, versions
from marketplace.models import Assignment, Job, Worker
from tests import factories as make
from tests.api.calls import is_refused, post, register_client, register_worker, submit_job
from tests.api.machine import ENROLMENT, Machine, assign
from workers.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION

pytestmark = pytest.mark.django_db
OURS, BEFORE, TOO_OLD, NEWER = PROTOCOL_VERSION, PROTOCOL_VERSION - 1, PROTOCOL_VERSION - 2, PROTOCOL_VERSION + 1


@pytest.fixture
def machine(client: Client) -> Machine:
    register_client(client)
    made = Machine(register_worker(client).json()["enrolment_key"])
    made.headers[PROTOCOL_HEADER] = str(OURS)
    return made


def speaks(machine: Machine, protocol: int, *beats: dict[str, Any]) -> dict[str, Any]:
    machine.headers[PROTOCOL_HEADER] = str(protocol)
    reply: dict[str, Any] = machine.heartbeat(*beats).json()
    return reply


def pending(client: Client) -> str:
    job = submit_job(client).json()["job_id"]
    coordination.assign_pending()
    return str(Job.objects.get(pk=job).state)


def test_a_machine_of_our_version_is_told_nothing(client: Client, machine: Machine) -> None:
    reply = speaks(machine, OURS)
    assert "upgrade" not in reply and reply["drain"] is False
    assert client.get("/worker/rtx_01/status").json()["upgrade"] == ""


def test_the_version_before_gets_jobs_and_hears_that_it_should_upgrade(client: Client, machine: Machine) -> None:
    reply = speaks(machine, BEFORE)
    assert reply["drain"] is False and "git pull" in reply["upgrade"]
    assert pending(client) == "assigned"


@pytest.mark.parametrize("protocol", [TOO_OLD, NEWER])
def test_a_version_that_is_not_served_gets_no_jobs_and_says_so_on_its_page(
    client: Client, machine: Machine, protocol: int
) -> None:
    reply = speaks(machine, protocol)
    assert reply["drain"] is True and "gets no jobs" in reply["upgrade"] and "git pull" in reply["upgrade"]
    assert pending(client) == "pending"
    assert client.get("/worker/rtx_01/status").json()["upgrade"] == reply["upgrade"]
    assert "gets no jobs" in client.get("/dashboard/workers/rtx_01/").content.decode()
    assert speaks(machine, OURS)["drain"] is False  # upgraded
    coordination.assign_pending()
    assert Job.objects.get().state == "assigned"


def test_a_machine_that_is_drained_for_its_version_finishes_what_it_has_in_hand(
    client: Client, machine: Machine
) -> None:
    job = submit_job(client).json()["job_id"]
    assignment = assign(job)
    specification = machine.start(assignment).json()
    beat = {"assignment": str(assignment.pk), "fence": 1, "progress": 0.5, "note": ""}
    before = Assignment.objects.get(pk=assignment.pk).lease_expires_at
    reply = speaks(machine, TOO_OLD, beat)
    assert reply["drain"] is True and reply["cancel"] == []
    assert Assignment.objects.get(pk=assignment.pk).lease_expires_at > before
    assert machine.hand_in(assignment, machine.compute(specification)).status_code == 200
    assert make.verify(assignment) == "accepted"


@pytest.mark.parametrize("protocol", [TOO_OLD, NEWER])
def test_a_version_that_is_not_served_does_not_enrol_and_its_key_stays_good(client: Client, protocol: int) -> None:
    key = register_worker(client).json()["enrolment_key"]
    asked = ENROLMENT | {"enrolment_key": key}
    sentence = is_refused(post(client, "/worker/enrol", asked | {"protocol": protocol}), 409)
    assert "install the version" in sentence and "git pull" in sentence
    assert post(client, "/worker/enrol", asked | {"protocol": BEFORE}).status_code == 200


@pytest.mark.parametrize("said", ["", "-1", "1e3", "٣", "99999", "x"])
def test_a_version_that_is_none_is_passed_over(machine: Machine, said: str) -> None:
    versions.note(Worker.objects.get(), said)
    assert Worker.objects.get().protocol == OURS
