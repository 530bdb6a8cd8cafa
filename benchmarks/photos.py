"""Reading photos and finding their faces: CPU seconds and peak memory, by the size of the file.

    python benchmarks/photos.py [--json]

Photos of 1 to 200 megapixels are made from the bundled picture: a grid of heads on a plain wall, saved as a JPEG, the
largest one progressive too. Each is read in a process of its own; seconds are those of all cores together, start
included, so that they depend less on what else the machine does.
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fantasyportrait.images.images import load_photo

BUNDLED = Path(__file__).parents[1] / "assets" / "two_people.png"
# A square around one of its heads.
LEFT, TOP, SIDE = 650, 40, 280
READ = """
import sys, time
from pathlib import Path
from fantasyportrait.service.input_reader import InputReader
photo, faces = InputReader().faces(Path(sys.argv[1]))
print(photo.pixels.shape[1], photo.pixels.shape[0], len(faces))
"""


@dataclass(frozen=True)
class Figure:
    """Figures of one photo; `read` is the size at which it was decoded."""

    photo: str
    read: str
    faces: int
    cpu_s: float
    peak_mib: int


def crowd(path: Path, size: tuple[int, int], columns: int, rows: int, progressive: bool = False) -> None:
    """Save a grid of heads in a picture of (width, height) as a JPEG."""
    head = load_photo(BUNDLED).pixels[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    across, down = size[0] // columns, size[1] // rows
    side = min(across, down) * 3 // 4
    cell = np.full((down, across, 3), (120, 140, 110), np.uint8)
    cell[(down - side) // 2 :, (across - side) // 2 :][:side, :side] = cv2.resize(head, (side, side))
    wall = np.full((size[1], size[0], 3), (120, 140, 110), np.uint8)
    wall[: down * rows, : across * columns] = np.tile(cell, (rows, columns, 1))
    Image.fromarray(wall).save(path, quality=85, progressive=progressive)


def measured(name: str, path: Path) -> Figure:
    """Read the photo and find its faces in a new process."""
    process = subprocess.Popen([sys.executable, "-c", READ, str(path)], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{path} was not read")
    width, height, faces = output.split()
    cpu_s = round(usage.ru_utime + usage.ru_stime, 1)
    return Figure(name, f"{width} x {height}", int(faces), cpu_s, round(usage.ru_maxrss / 1024))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cases = [
        ("1 MP", (1152, 864), 2, 1, False),
        ("12 MP", (4000, 3000), 6, 4, False),
        ("39 MP", (7216, 5412), 6, 4, False),
        ("48 MP", (8064, 6048), 6, 4, False),
        ("200 MP", (16_320, 12_240), 6, 4, False),
        ("200 MP, progressive", (16_320, 12_240), 6, 4, True),
        ("6 MP, 144 faces", (2400, 2400), 12, 12, False),
    ]
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for name, size, columns, rows, progressive in cases:
            path = Path(folder) / "photo.jpg"
            # In another process: the peak memory of a new process starts at that of its parent.
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                pool.submit(crowd, path, size, columns, rows, progressive).result()
            figures.append(measured(name, path))
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    for each in figures:
        print(f"{each.photo:<22}{each.read:<14}{each.faces:>4} faces {each.cpu_s:>7} s {each.peak_mib:>6} MiB")


if __name__ == "__main__":
    main()
