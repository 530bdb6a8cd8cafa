"""The estimates before anything is built, and the lower bounds of a step's time."""

from dataclasses import dataclass, replace

import torch

from benchmarks.measurement import BenchmarkCase
from benchmarks.random_gguf import bits
from fantasyportrait.planning.estimate import Estimate, estimate
from fantasyportrait.planning.machine import measure_machine
from fantasyportrait.planning.meta_networks import MetaNetworks, ModelConfigs
from fantasyportrait.planning.profile_selection import unsupported_reason
from fantasyportrait.planning.throughput import measure_throughput
from fantasyportrait.planning.workload import CostInputs, ModelSize, Workload
from fantasyportrait.runtime.profiles import Profile
from fantasyportrait.schema.sampling import Sampling

# 16-bit products with sums in float32, TFLOP/s. Of an H100's 989 large products reach 800; the others are nominal.
_NOMINAL = (("H100", 800.0), ("H200", 800.0), ("A100", 312.0), ("4090", 165.0))


@dataclass(frozen=True)
class Prediction:
    """The estimate for one profile and work.

    Attributes:
        estimate: the estimator's.
        tflop: of one pass of the transformer, 1e12.
        floor_s: a pass at the rate that large products reach on this GPU.
        nominal_floor_s: a pass at its nominal rate; None where that is not known here.
    """

    estimate: Estimate
    tflop: float
    floor_s: float
    nominal_floor_s: float | None


class Predictor:
    """Measures the machine as it is when this is made: before the model takes its place there."""

    def __init__(self, configs: ModelConfigs, device: torch.device, precision: torch.dtype) -> None:
        self._networks = MetaNetworks(configs, precision)
        self.machine = measure_machine(device)
        self.throughput = measure_throughput(device, precision)

    @property
    def nominal_tflops(self) -> float | None:
        """The GPU's nominal rate; None where it is not known here."""
        return next((rate for name, rate in _NOMINAL if name in self.machine.name), None)

    def model(self, profile: Profile) -> ModelSize:
        """The weights; for a GGUF profile as a file of its kind would have them."""
        model = self._networks.model_size
        if profile.weights == "gguf":
            return replace(model, gguf=int(model.matrices * bits(profile) / 8) + model.rest)
        return model

    def predict(self, profile: Profile, work: BenchmarkCase, steps: int, batch_passes: bool) -> Prediction:
        """The estimate, as the program makes it for a job of this size."""
        job = Workload(
            *(work.width, work.height, work.frames),
            faces=work.faces,
            sampling=Sampling(num_inference_steps=steps, batch_passes=batch_passes, max_window_frames=work.frames),
        )
        model = self.model(profile)
        around = CostInputs(self.machine, self.throughput, model, self._networks.activations(job), job)
        tflop = around.activations.forward.flop / 1e12
        return Prediction(
            estimate=estimate(profile, around, unsupported_reason(profile, self.machine, model)),
            tflop=tflop,
            floor_s=tflop / self.throughput.tflops,
            nominal_floor_s=tflop / self.nominal_tflops if self.nominal_tflops else None,
        )
