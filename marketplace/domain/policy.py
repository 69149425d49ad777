"""Every number that an operator may set, with its default. `POLICY_<NAME>` in the environment overrides it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from marketplace.domain.money import MICRO


@dataclass(frozen=True)
class Policy:
    # Money, in tokens
    minimum_stake: float = 100
    sandbox_worker_grant: float = 100  # beside the stake, for a worker registered in the sandbox
    sandbox_client_grant: float = 1000  # where a client registered in the sandbox names no balance
    minimum_reward: float = 0.000001
    floor_per_gigabyte: float = 1  # tokens that a job pays at least for each GB of its matrix
    floor_per_check_second: float = 0.1  # and for each second that checking its answer may take
    slash_share: float = 0.10  # of the stake, at most the job's reward
    slash_to_client_share: float = 0.5  # of a slash, to the client that was kept waiting; the rest to the treasury
    loan_repayment_share: float = 0.5  # of what a worker on a lent stake earns, until the loan is paid back
    cancel_share: float = 0.10  # of the reward, to the worker that was computing
    exposure_factor: float = 10  # open rewards in a worker's hands over its stake
    suggested_rate: float = 10  # tokens per quoted second, until there are payments to learn from
    suggested_minimum: float = 1
    low_balance: float = 10  # tokens; a client's wallet below it is pointed out to its owner

    # Reputation, 0 to 100
    reputation_start: float = 100
    reputation_gain: float = 0.5
    reputation_loss: float = 10
    reputation_minimum: float = 50  # a worker below it is deactivated

    # A worker that took a job, began, and was never heard of again
    no_show_share: float = 0.01  # of the stake, at most the job's reward, to the treasury
    no_show_reputation: float = 1

    # Time, in seconds
    heartbeat_seconds: float = 2
    silent_after_seconds: float = 8  # without a heartbeat, a worker gets nothing new
    lease_seconds: float = 15
    start_within_seconds: float = 10
    resend_after_seconds: float = 3
    deadline_seconds: float = 7 * 24 * 3600
    verification_lease_seconds: float = 300
    time_limit_factor: float = 10  # of the quoted time
    time_limit_minimum_seconds: float = 60
    quote_overhead_seconds: float = 0.05  # sending, fetching and checking, whatever the size
    quote_flops: float = 5e9  # operations a second that a quote counts on
    unbonding_seconds: float = 7 * 24 * 3600  # between unstaking and the wallet; a slash still reaches it
    contest_seconds: float = 7 * 24 * 3600  # in which a contributor may contest a rejection
    challenge_every_seconds: float = 24 * 3600  # on average, between two measurements of a GPU
    books_check_seconds: float = 24 * 3600  # between two replays of the whole ledger
    notice_scan_seconds: float = 60  # between two looks for what people want to be told of
    notice_silent_seconds: float = 300  # without a heartbeat, until a worker's owner is told
    enrolment_key_seconds: float = 24 * 3600
    dataset_idle_seconds: float = 365 * 24 * 3600  # after which data that no job used are deleted; 0: never
    upload_idle_seconds: float = 24 * 3600  # after which an upload that nobody went on with is deleted
    idempotency_key_seconds: float = 24 * 3600  # in which a request that is sent again gets the first one's answer

    web_away_after_seconds: float = 6  # without a sign of the web process, no lease runs out
    cycle_late_after_seconds: float = 20  # without a cycle, which beat asks for every five, the network is not ready

    # Measured GPUs
    claim_share: float = 0.05  # of the claimed TFLOPS that a measurement must show, or the worker is marked

    # Bytes
    storage_bytes_per_user: int = 20 * 10**9  # of uploads and their matrices, outside the sandbox
    disk_reserve_bytes: int = 512 * 1024**2  # of the disk, which uploads leave to the database and to answers

    # Counts
    max_attempts: int = 5
    verification_tries: int = 3
    newcomer_share: float = 0.25  # of the work that the best worker gets, for one without a record
    open_jobs_per_client: int = 5000
    open_demands_per_client: int = 100  # different ones among them: each is matched by itself
    batch: int = 500  # jobs of one class that one transaction assigns
    worker_memory_bytes: int = 4 * 1024**3  # a job may use at most this much on a worker that reports no memory

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The defaults with every `POLICY_<NAME>` of `environment` in their place.

        Raises:
            ValueError: a value that is no number.
        """
        given: dict[str, Any] = {}
        for each in fields(cls):
            text = environment.get(f"POLICY_{each.name.upper()}")
            if text is not None:
                given[each.name] = int(text) if each.type == "int" or each.type is int else float(text)
        return cls(**given)

    def micro(self, name: str) -> int:
        """The money setting `name` in micro-tokens."""
        tokens: float = getattr(self, name)
        return round(tokens * MICRO)
