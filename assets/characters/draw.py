"""Draw the example pictures, the icon and the social image, all of our own.  Run:  python assets/characters/draw.py"""

from pathlib import Path

from emblem import write_emblems
from scenes import SCENES, draw


def main() -> None:
    """Write the files into the folder above; it takes some minutes."""
    folder = Path(__file__).parents[1]
    for name, scene in SCENES.items():
        draw(scene).save(folder / f"{name}.jpg", quality=92, subsampling=0)
    write_emblems(folder)


if __name__ == "__main__":
    main()
