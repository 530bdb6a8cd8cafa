"""Reading the parity cases: arrays of the .npz files, and weights that depend only on key, shape, kind and salt."""

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

COMMITTED = Path(__file__).parent / "cases"
_ARRAYS = ("adapter", "alignment", "detector", "guidance", "motion_encoder", "smoothing", "transformer")
FILES = (*(f"{name}.npz" for name in _ARRAYS), "keys.json", "token_windows.json")


@dataclass(frozen=True)
class Cases:
    """A folder of parity cases and the salt of its weights; raises FileNotFoundError for a folder without all FILES."""

    folder: Path
    salt: str

    def __post_init__(self) -> None:
        if missing := [name for name in FILES if not (self.folder / name).is_file()]:
            raise FileNotFoundError(
                f"the parity cases in {self.folder} lack {', '.join(missing)}: restore them, or set PARITY_DIR to a "
                "folder with a complete set"
            )

    @classmethod
    def from_environment(cls) -> "Cases":
        """The set that PARITY_DIR and PARITY_SALT name, by default the committed one with the salt `a`."""
        return cls(Path(os.environ.get("PARITY_DIR") or COMMITTED), os.environ.get("PARITY_SALT", "a"))

    def arrays(self, name: str) -> dict[str, NDArray[np.generic]]:
        """The arrays of one file, by name."""
        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file}

    def json(self, name: str) -> dict[str, list[list[object]]]:
        """One of the .json files."""
        data: dict[str, list[list[object]]] = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        return data

    def weights(self, part: str) -> dict[str, NDArray[np.generic]]:
        """Every tensor of `dit`, `adapter` or `motion_encoder` under its original key."""
        return {key: self._fill(key, shape, kind) for key, shape, kind in self.json("keys")[part]}  # type: ignore[arg-type]

    def normal(self, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Standard normal numbers that belong to `key`. NumPy's RandomState never changes its stream."""
        seed = zlib.crc32(f"{self.salt}:{key}".encode())
        return np.random.RandomState(seed).standard_normal(int(np.prod(shape))).reshape(shape)

    def _fill(self, key: str, shape: list[int], kind: str) -> NDArray[np.generic]:
        if kind == "count":
            return np.zeros(shape, np.int64)
        z = self.normal(key, tuple(shape))
        filled = {
            "weight": lambda: z * 1.5 / np.sqrt(np.prod(shape[1:])),
            "gain": lambda: 1.0 + 0.2 * z,
            "bias": lambda: 0.2 * z,
            "mean": lambda: 0.2 * z,
            "var": lambda: 0.5 + np.abs(z),
        }[kind]()
        return np.asarray(filled, np.float32)
