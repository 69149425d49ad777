"""The list of known GPUs."""

import pytest

from workers.catalog.gpus import KNOWN_GPUS


def test_every_entry_stands_under_its_own_name_with_sane_figures():
    assert len(KNOWN_GPUS) >= 30
    assert "CPU" not in KNOWN_GPUS
    for name, gpu in KNOWN_GPUS.items():
        assert gpu.name == name
        assert 5 < gpu.fp32_tflops < 200
        assert 8 << 30 <= gpu.memory_bytes <= 288 << 30


@pytest.mark.parametrize(("name", "tflops"), [("RTX 4090", 82.6), ("RTX 3090", 35.6), ("A100", 19.5)])
def test_figures_are_the_makers(name, tflops):
    assert KNOWN_GPUS[name].fp32_tflops == tflops
