"""Machines that enrol over HTTP, as contributors' do."""

from marketplace.actions import workers
from tests.api.machine import Machine


def enrolled(name: str) -> Machine:
    made = workers.register_worker(name=name, gpu_type="RTX 4090", compute_capacity=82.6, stake_amount=150, user=None)
    machine = Machine(made.enrolment_key)
    machine.heartbeat()
    return machine
