"""The wire contract between the coordinator and a contributor's Celery worker.

Both sides import this file and nothing else of each other. All bodies are JSON, but for a dataset's matrix
(an ``.npy`` file) and a result (an uncompressed ``.npz`` archive of numeric arrays). Every call carries
``Authorization: Worker <worker uuid>.<secret>``, except enrolment, whose body carries the enrolment key.

=====================================  ==================================================================
``POST /worker/enrol``                 `EnrolRequest` → `EnrolReply`; 403 for a key that is unknown or used,
                                       409 for another protocol. A host that restarts asks with its secret
                                       and an empty key, to say what it is now and learn where Redis is; where
                                       that is refused it goes on with the reply that it kept
``POST /worker/heartbeat``             `HeartbeatRequest` → `HeartbeatReply`; renews the leases it names
``POST /assignment/<id>/start``        ``{}`` → `Specification`; 409 when started already or no longer live
``GET /dataset/<sha256>``              the matrix as ``.npy``, with Range; 404 unless a live assignment reads it
``PUT /assignment/<id>/result``        the answer as ``.npz`` with `FENCE_HEADER`, `DIGEST_HEADER` and
                                       `SECONDS_HEADER`; 200 (again for the same digest), 409 for another
                                       digest, 410 when the assignment is dead
``POST /assignment/<id>/failure``      `FailureRequest` → ``{}``; 409 when the assignment is dead
``POST /assignments/start``            `StartsRequest` → `StartsReply`: several starts at once
``POST /assignments/results``          several small answers at once: a line of JSON, `AnswersLine`, and after it the
                                       answers, one after the other in its order → `AnswersReply`. 400 for a line or
                                       a length that does not fit, and then nothing is taken in
``POST /worker/challenge/<id>/start``  ``{}`` → `ChallengeStart`; the clock starts. 409 while a job is in hand, or
                                       when it was started before or has lapsed
``POST /worker/challenge/<id>/commit`` `ChallengeRoot` → `ChallengeColumns`; the clock stops, and the columns are
                                       drawn only then (again the same ones for the same root)
``POST /worker/challenge/<id>/open``   `ChallengeOpening` → `ChallengeOutcome`
=====================================  ==================================================================

A message in the worker's Redis list names an assignment and holds nothing else. Where only HTTPS gets out, or Redis
makes no users, the reply of enrolment says ``"transport": "https"``: there is no list then, and the heartbeat's reply
names the assignments to take.

Each call names the worker's version in `PROTOCOL_HEADER`. A coordinator serves its own version and the one before. A
worker of any other finishes what it has in hand and gets nothing new (``"drain"``); a worker that is not of the
coordinator's version reads in each heartbeat's reply what to do about it (``"upgrade"``).

A coordinator that takes several starts and answers in one call says in each heartbeat's reply how many at most
(``"together"``). Each of them gets what it would get in a call of its own. A host that gets no such offer, or whose
call is refused as a whole, makes the single calls.

A refusal is ``{"error": "<one sentence>"}``.
"""

import re
from typing import Literal, NotRequired, TypedDict

# 2: each call names its version in `PROTOCOL_HEADER`, and a heartbeat's reply may hold `upgrade`. 1: neither.
PROTOCOL_VERSION = 2
OLDEST_PROTOCOL = PROTOCOL_VERSION - 1  # that a coordinator of this version still serves
TASK_NAME = "workers.compute"

PROTOCOL_HEADER = "X-Computenet-Protocol"
FENCE_HEADER = "X-Computenet-Fence"
DIGEST_HEADER = "X-Computenet-Digest"
SECONDS_HEADER = "X-Computenet-Seconds"

MOST_TOGETHER = 64  # assignments in one call
TOGETHER_ANSWER_BYTES = 64 * 1024  # of an answer that may go together with others
TOGETHER_LINE_BYTES = 32 * 1024  # of the line before them
TOGETHER_BYTES = 2 * 1024**2  # of a call with several answers, the line too

Fault = Literal["job", "worker", "system"]
Transport = Literal["redis", "https"]


class Device(TypedDict):
    """A GPU (or the CPU) as its host found it."""

    gpu_type: str  # as in the list of known GPUs; "CPU" where there is none
    name: str  # what the driver calls it
    memory_bytes: int
    backend: str  # "numpy", "torch" or "cupy"
    simulated: bool  # the type was set by hand, not found


class EnrolRequest(TypedDict):
    enrolment_key: str
    protocol: int
    catalog: dict[str, int]  # model → version
    device: Device
    slots: int  # assignments it takes at a time: Celery's concurrency
    hostname: str
    transport: NotRequired[Transport]  # what it asks for, where it does not leave that to the coordinator


class EnrolReply(TypedDict):
    worker: str  # UUID
    worker_id: str  # the name that its contributor gave it
    secret: str
    queue: str
    broker_url: str  # "" where word comes over HTTPS
    heartbeat_seconds: float
    transport: NotRequired[Transport]  # how word of assignments comes; "redis" where left out


class Beat(TypedDict):
    """What a heartbeat says of one assignment in hand."""

    assignment: str
    fence: int
    progress: float  # 0 to 1
    note: str  # what it is doing, for people: "iteration 12, inertia 84.2"


class HeartbeatRequest(TypedDict):
    assignments: list[Beat]
    load: float | None  # 0 to 1, of the GPU (of the CPU where there is none); None where unknown
    memory_free_bytes: int | None
    temperature_celsius: float | None
    aside: NotRequired[str]  # why this machine takes nothing now; left out where it does
    dropped: NotRequired[list[str]]  # of the matrices that it was asked to drop, those that are gone


class HeartbeatReply(TypedDict):
    cancel: list[str]  # assignments that are dead: stop computing them
    drain: bool  # take nothing new
    heartbeat_seconds: float
    take: NotRequired[list[str]]  # assignments to start, over HTTPS; named again until they are started
    upgrade: NotRequired[str]  # one sentence with the command that brings this worker to the coordinator's version
    drop: NotRequired[list[str]]  # matrices whose copies must go; named again until they are `dropped`
    challenge: NotRequired[str]  # a measurement of this machine's speed that waits, offered while it is idle
    together: NotRequired[int]  # starts or answers that one call may bring; left out where each needs its own


class Matrix(TypedDict):
    """A float64, C-ordered ``.npy`` file without missing values."""

    sha256: str
    size_bytes: int
    rows: int
    columns: int


class Limits(TypedDict):
    seconds: float
    memory_bytes: int


class Specification(TypedDict):
    """All that a worker learns of a job. No name of a file, a column or a client."""

    assignment: str
    fence: int
    model: str
    params: dict[str, int | float | bool | str]
    seed: int
    matrix: Matrix
    features: list[int]  # columns of the matrix, in order
    target: int | None  # column of the matrix
    limits: Limits
    heartbeat_seconds: float
    stand_in: NotRequired[str]  # worker_id that this host computes for, where that is not itself


class StartsRequest(TypedDict):
    assignments: list[str]  # each once


class StartOutcome(TypedDict):
    """What `POST /assignment/<id>/start` would answer."""

    status: int
    specification: NotRequired[Specification]  # with 200
    error: NotRequired[str]  # with any other


class StartsReply(TypedDict):
    assignments: list[StartOutcome]  # in the order of the request


class AnswerNote(TypedDict):
    """An answer among several; its bytes come after the line."""

    assignment: str
    fence: int
    sha256: str
    seconds: float
    size_bytes: int


class AnswersLine(TypedDict):
    answers: list[AnswerNote]  # each assignment once


class AnswerOutcome(TypedDict):
    """What `PUT /assignment/<id>/result` would answer."""

    status: int
    error: NotRequired[str]  # with any but 200


class AnswersReply(TypedDict):
    answers: list[AnswerOutcome]  # in the order of the line


class FailureRequest(TypedDict):
    fence: int
    fault: Fault
    error: str  # one sentence


class ChallengeStart(TypedDict):
    """What `workers.catalog.matrix_rate` computes."""

    n: int
    rounds: int
    seed: str  # 32 hex digits
    seconds: float  # in which the root must come


class ChallengeRoot(TypedDict):
    root: str  # 64 hex digits


class ChallengeColumns(TypedDict):
    columns: list[int]  # numbers of leaves


class OpenedColumn(TypedDict):
    leaf: int
    data: str  # base64 of the column, a byte a number
    path: str  # base64 of the path's digests, one after the other, from the leaf's sibling upwards


class ChallengeOpening(TypedDict):
    columns: list[OpenedColumn]  # those asked for, and the same columns one commitment earlier


class ChallengeOutcome(TypedDict):
    passed: bool
    rate: float | None  # measured matrix rate, in TFLOPS
    doubted: bool  # it is less than a fair part of what the worker claims
    reason: str


def is_served(protocol: int) -> bool:
    """Does a coordinator of this version give work to a worker of that one?"""
    return OLDEST_PROTOCOL <= protocol <= PROTOCOL_VERSION


def gpu_tag(gpu_type: str) -> str:
    """The slug of a GPU type that a queue's name carries: ``"RTX 4090"`` → ``"rtx-4090"``."""
    return re.sub(r"[^a-z0-9]+", "-", gpu_type.lower()).strip("-") or "cpu"


def queue_name(tag: str, worker_uuid: str) -> str:
    """The one Redis list that a worker's Celery worker consumes."""
    return f"gpu.{tag}.{worker_uuid}"
