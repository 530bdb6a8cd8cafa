"""Recorded sizes and activations of the original model, so that tests of profile selection trace nothing.

Where `test_recorded_sizes_equal_traced_sizes` fails because networks or tracing changed on purpose, write it again:
python -m tests.runtime.original
"""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from fantasyportrait.planning.meta_networks import MetaNetworks, original_configs
from fantasyportrait.planning.workload import ActivationCosts, Cost, ModelSize, Workload
from fantasyportrait.schema.sampling import Sampling

RECORD = Path(__file__).with_name("original_needs.json")
# Width, height, frames, and how many of them at once.
SIZES = {
    "float32": ((512, 512, 81, 201), (832, 480, 81, 201)),
    "bfloat16": (
        *((512, 512, 81, 201), (832, 480, 81, 201), (1280, 720, 81, 201), (256, 256, 81, 201)),
        *((832, 480, 201, 201), (832, 480, 201, 81)),
    ),
}


def model_size(record: dict[str, Any], precision: str) -> ModelSize:
    """The weight sizes from a record."""
    return ModelSize(**record[precision]["model_size"])


def activations(record: dict[str, Any], precision: str, job: Workload) -> ActivationCosts:
    """The activation costs of a job with one face and two passes without a cache, from a record."""
    row = record[precision][_name((job.width, job.height, job.frames, job.sampling.max_window_frames))]
    return ActivationCosts(row["windows"], *(Cost(*row[each.name]) for each in fields(ActivationCosts)[1:9]))


def traced(sizes: dict[str, tuple[tuple[int, ...], ...]]) -> dict[str, Any]:
    """A record of those sizes."""
    record: dict[str, Any] = {}
    for precision, wanted in sizes.items():
        networks = MetaNetworks(original_configs(), getattr(torch, precision))
        record[precision] = {"model_size": asdict(networks.model_size)}
        for size in wanted:
            found = asdict(networks.activations(Workload(*size[:3], sampling=Sampling(max_window_frames=size[3]))))
            needs = {name: list(value.values()) for name, value in found.items() if isinstance(value, dict)}
            record[precision][_name(size)] = {"windows": found["windows"], **needs}
    return record


def _name(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size))


if __name__ == "__main__":
    RECORD.write_text(json.dumps(traced(SIZES), indent=1) + "\n", encoding="utf-8")
