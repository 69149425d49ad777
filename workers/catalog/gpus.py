"""Known GPUs: single-precision (fp32, not tensor-core) TFLOPS and memory, from the makers' public specifications."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    name: str
    fp32_tflops: float
    memory_bytes: int


def _gpu(name: str, fp32_tflops: float, memory_gib: int) -> Gpu:
    return Gpu(name, fp32_tflops, memory_gib << 30)


KNOWN_GPUS: dict[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        _gpu("RTX 5090", 104.8, 32),
        _gpu("RTX 5080", 56.3, 16),
        _gpu("RTX 5070 Ti", 43.9, 16),
        _gpu("RTX 5070", 30.9, 12),
        _gpu("RTX 4090", 82.6, 24),
        _gpu("RTX 4080 SUPER", 52.2, 16),
        _gpu("RTX 4080", 48.7, 16),
        _gpu("RTX 4070 Ti", 40.1, 12),
        _gpu("RTX 4070", 29.1, 12),
        _gpu("RTX 4060 Ti", 22.1, 8),
        _gpu("RTX 4060", 15.1, 8),
        _gpu("RTX 3090 Ti", 40.0, 24),
        _gpu("RTX 3090", 35.6, 24),
        _gpu("RTX 3080 Ti", 34.1, 12),
        _gpu("RTX 3080", 29.8, 10),
        _gpu("RTX 3070", 20.3, 8),
        _gpu("RTX 3060", 12.7, 12),
        _gpu("RTX 2080 Ti", 13.4, 11),
        _gpu("GTX 1080 Ti", 11.3, 11),
        _gpu("RTX 6000 Ada", 91.1, 48),
        _gpu("RTX A6000", 38.7, 48),
        _gpu("RTX A5000", 27.8, 24),
        _gpu("A6000", 38.7, 48),
        _gpu("B200", 75.0, 180),
        _gpu("H200", 67.0, 141),
        _gpu("H100", 67.0, 80),
        _gpu("A100", 19.5, 80),
        _gpu("A40", 37.4, 48),
        _gpu("A10", 31.2, 24),
        _gpu("L40S", 91.6, 48),
        _gpu("L4", 30.3, 24),
        _gpu("T4", 8.1, 16),
        _gpu("V100", 15.7, 32),
        _gpu("P100", 9.3, 16),
        _gpu("MI300X", 163.4, 192),
        _gpu("MI250X", 47.9, 128),
        _gpu("MI210", 22.6, 64),
        _gpu("RX 7900 XTX", 61.4, 24),
    )
}
