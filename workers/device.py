"""What this host computes on, and how busy it is: an NVIDIA GPU where there is a driver, else the CPU."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pynvml

from workers.catalog.gpus import KNOWN_GPUS
from workers.protocol import Device
from workers.settings import Settings, SettingsError

CPU = "CPU"
_MAKERS = {"nvidia", "geforce", "tesla", "quadro"}
_VARIANTS = {"ti", "super", "laptop", "mobile", "max", "d"}  # another GPU than the one without the word


def choose_visible_gpu(device: str) -> None:
    """Show array libraries the GPU that COMPUTENET_DEVICE names alone; to be called before one looks for GPUs."""
    device = device.strip().lower().removeprefix("cuda:")
    if device:
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # the order in which the driver counts
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if device == "cpu" else device


def find_device(settings: Settings, backend: str) -> tuple[Device, str]:
    """The device of this host, and a sentence about it for people.

    `backend` names the array library that the catalogue will use; with "numpy" it is the CPU that computes, and the
    device says so even where there is a GPU.

    Raises:
        SettingsError: COMPUTENET_DEVICE names a GPU that is not there.
    """
    if settings.device not in ("", "cpu") and open_gpu(settings) is None:
        raise SettingsError(
            f"COMPUTENET_DEVICE names GPU {settings.device}, and the NVIDIA driver shows none of that number; "
            "see what nvidia-smi lists, or set it to cpu."
        )
    gpu = None if backend == "numpy" else open_gpu(settings)
    if gpu is not None:
        name = _text(pynvml.nvmlDeviceGetName(gpu))
        device = Device(
            gpu_type=known_type(name, KNOWN_GPUS),
            name=name,
            memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(gpu).total),
            backend=backend,
            simulated=False,
        )
        sentence = f"{name} with {device['memory_bytes'] / 1e9:.1f} GB computes with {backend}."
    else:
        device = Device(
            gpu_type=CPU, name=_cpu_name(), memory_bytes=_memory()["total"], backend=backend, simulated=False
        )
        sentence = f"no GPU: this is a CPU host ({device['name']}, {os.cpu_count()} cores, {backend})."
        if backend == "numpy" and settings.device != "cpu" and open_gpu(settings) is not None:
            sentence = (
                "there is a GPU, but neither torch nor CuPy to compute on it; install one of them. Until then "
                + sentence
            )
    if settings.gpu_type:
        known = known_type(settings.gpu_type, KNOWN_GPUS)
        memory = KNOWN_GPUS[known].memory_bytes if known in KNOWN_GPUS else device["memory_bytes"]
        device = Device(**{**device, "gpu_type": known, "memory_bytes": memory, "simulated": True})
        sentence += f' It is offered as a simulated "{known}", because COMPUTENET_GPU_TYPE says so.'
    return device, sentence


def known_type(name: str, known: Mapping[str, Any]) -> str:
    """The known GPU that a driver's `name` means, or the name without its maker where none fits.

    "NVIDIA GeForce RTX 4090" → "RTX 4090"; "NVIDIA A100-SXM4-80GB" → "A100". The longest fitting name wins, and
    "RTX 3090 Ti" is no "RTX 3090".
    """
    words = [word for word in re.findall(r"[a-z0-9]+", name.lower()) if word not in _MAKERS]
    best: tuple[int, str] = (0, "")
    for candidate in known:
        sought = [word for word in re.findall(r"[a-z0-9]+", candidate.lower()) if word not in _MAKERS]
        for at in range(len(words) - len(sought) + 1):
            after = words[at + len(sought) : at + len(sought) + 1]
            if sought and words[at : at + len(sought)] == sought and not set(after) & _VARIANTS:
                best = max(best, (len(sought), candidate))
    kept = [word for word in re.split(r"\s+", name.strip()) if word.lower() not in _MAKERS]
    return best[1] or " ".join(kept)[:64] or CPU


class Gauge:
    """How busy the device is."""

    def __init__(self, settings: Settings, *, on_gpu: bool = True) -> None:
        self._gpu = open_gpu(settings) if on_gpu else None

    def read(self) -> tuple[float | None, int | None, float | None]:
        """Load (0 to 1), free memory in bytes and temperature in °C; None where unknown."""
        if self._gpu is None:
            return _cpu_load(), _memory()["available"] or None, None
        readings: list[float | None] = []
        for read in (
            lambda: pynvml.nvmlDeviceGetUtilizationRates(self._gpu).gpu / 100,
            lambda: int(pynvml.nvmlDeviceGetMemoryInfo(self._gpu).free),
            lambda: float(pynvml.nvmlDeviceGetTemperature(self._gpu, pynvml.NVML_TEMPERATURE_GPU)),
        ):
            try:
                readings.append(read())
            except pynvml.NVMLError:  # some GPUs do not tell
                readings.append(None)
        load, free, temperature = readings
        return load, None if free is None else int(free), temperature


def open_gpu(settings: Settings) -> Any:
    """NVML's handle of the chosen GPU; None where there is no driver or no such GPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = settings.device or ("0" if visible is None else visible.split(",")[0].strip())
    if chosen in ("cpu", "", "-1"):
        return None
    try:
        pynvml.nvmlInit()
        if chosen.isdigit():
            return pynvml.nvmlDeviceGetHandleByIndex(int(chosen))
        return pynvml.nvmlDeviceGetHandleByUUID(chosen)
    except pynvml.NVMLError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()[:128]
    except OSError:
        pass
    return "CPU"


def _cpu_load() -> float | None:
    try:
        return min(os.getloadavg()[0] / (os.cpu_count() or 1), 1.0)
    except (OSError, AttributeError):  # not every system has it
        return None


def _memory() -> dict[str, int]:
    """Bytes of main memory, in all and available; 0 where unknown."""
    found = {"total": 0, "available": 0}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name.removeprefix("Mem").lower()] = int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    if not found["total"] and hasattr(os, "sysconf"):
        found["total"] = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return found
