"""How large a measurement of a machine's speed is, what rate it shows, and what to make of that."""

import math

from workers.catalog.matrix_rate import LARGEST, MOST_ROUNDS, STEP

LIMIT_SECONDS = 30.0  # from the seed to the root; a GPU at the default share of its claim takes twenty
OPEN_SECONDS = 30.0  # from the root to the columns
OFFER_SECONDS = 60.0  # from the offer to the start
SETTLE_SECONDS = 10.0  # a machine that has just come first gets the jobs that wait for it
PATIENCE_SECONDS = 30.0  # a machine that has been busy for so long gets no further job until it is measured
DOUBTED_SOONER = 24  # times as often is a doubted worker measured, so that an unlucky one is soon cleared
CPU_SIZE = (512, 64)  # 0.017 TFLOP: a quarter of a second for two ordinary cores
GPU_SIZES = ((0.5, 512), (2.0, 1024), (8.0, 2048))  # claims below so many TFLOPS, and their n


def size(claimed_tflops: float, *, on_gpu: bool) -> tuple[int, int]:
    """`n` and `rounds`, both powers of two, of about a second's work at the claimed rate.

    A machine that says that it computes with NumPy gets a CPU's size, whatever its worker claims: it could not end a
    GPU's. (Saying so falsely gains nothing: the smaller size only shows a lower rate.)
    """
    if not on_gpu:
        return CPU_SIZE
    n = next((n for below, n in GPU_SIZES if claimed_tflops < below), LARGEST)
    rounds = claimed_tflops * 1e12 / (2 * n**3)
    power = round(math.log2(max(rounds, 1.0)))
    return n, min(max(2**power, STEP), MOST_ROUNDS)


def rate(n: int, rounds: int, seconds: float) -> float:
    """The measured matrix rate in TFLOPS: 2·n³ operations a round, over all the time from seed to root."""
    return 2 * n**3 * rounds / max(seconds, 1e-6) / 1e12


def is_doubtful(measured_tflops: float, claimed_tflops: float, share: float) -> bool:
    return measured_tflops < share * claimed_tflops


def chance_of_a_draw(elapsed_seconds: float, mean_seconds: float) -> float:
    """That a Poisson process of one event in `mean_seconds` has one in `elapsed_seconds`."""
    return -math.expm1(-max(elapsed_seconds, 0.0) / mean_seconds)
