"""What a process that has worked before spends: on its next photos, and on the second run of the same request.

    python benchmarks/second_run.py [--media DIR] [--model DIR] [--runs 5] [--json]

As in the app, one animator does all of it. Each run is a new process with an empty cache. --media as for
benchmarks/preview.py; with --model the diffusion engine makes the request as well, on the CPU: give a folder of
`weights make-tiny`, as sampling must not hide the rest. Figures are medians of processor time (both cores added) and of
seconds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preview import Inputs, bundled_inputs, media_inputs

import fantasyportrait as fp
from fantasyportrait.runtime.runtime_config import RuntimeConfig

Cost = tuple[float, float]


def cost(work: Callable[[], object]) -> Cost:
    """(processor time, seconds) of `work`."""
    processor_s, start = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - processor_s, time.perf_counter() - start


def measure(inputs: Inputs, model: Path | None, folder: Path) -> dict[str, Cost]:
    """The costs in this process, which has done nothing yet."""
    animator = fp.Animator(cache_dir=folder / "cache", runtime_config=RuntimeConfig(device="cpu"))
    costs = {
        "first photo": cost(lambda: animator.inputs.faces(inputs.pair)),
        "a photo of another shape": cost(lambda: animator.inputs.faces(inputs.portrait)),
        "a photo of the same shape": cost(lambda: animator.inputs.faces(inputs.portrait)),
    }
    options: dict[str, Any] = {"duration": 0.4, "max_side": 256, "side_by_side": False}
    requests = {"preview": fp.AnimationRequest(inputs.portrait, f"1={inputs.clip}", **options)}
    if model is not None:
        sampling = fp.Sampling(model=str(model), num_inference_steps=1)
        requests["wan"] = fp.AnimationRequest(
            inputs.portrait, f"1={inputs.clip}", engine="wan", sampling=sampling, **options | {"max_side": 128}
        )
    for engine, request in requests.items():
        for turn in ("first", "second"):
            costs[f"{turn} {engine} render"] = cost(
                lambda request=request, name=f"{engine}-{turn}.mp4": animator.animate(request, folder / name)  # type: ignore[misc]
            )
    return costs


def new_process(options: argparse.Namespace) -> dict[str, Cost]:
    """`measure` in a process of its own."""
    given = [f"--{name}={value}" for name, value in (("media", options.media), ("model", options.model)) if value]
    command = [sys.executable, __file__, "--worker", *given]
    costs: dict[str, Cost] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return costs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        with tempfile.TemporaryDirectory() as folder:
            inputs = media_inputs(options.media) if options.media else bundled_inputs(Path(folder))
            print(json.dumps(measure(inputs, options.model, Path(folder))))
        return
    runs = [new_process(options) for _ in range(options.runs)]
    report = {
        name: [round(statistics.median(run[name][column] for run in runs), 3) for column in (0, 1)] for name in runs[0]
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for name, (processor_s, seconds) in report.items():
        print(f"{name:<26} {processor_s:8.3f} s of processor time {seconds:8.3f} s")


if __name__ == "__main__":
    main()
