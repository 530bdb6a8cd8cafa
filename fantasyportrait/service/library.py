"""What stands on the shelves: built-in motions, the small models, the bundled example."""

from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.motion.builtin import MOTIONS
from fantasyportrait.weights.catalog import SMALL_MODELS, SmallModel
from fantasyportrait.weights.store import ModelState, fetch_models, models_dir, verify_models

__all__ = [
    "MOTIONS",
    "SMALL_MODELS",
    "ModelState",
    "SmallModel",
    "example_photo",
    "fetch_models",
    "models_dir",
    "verify_models",
]


def example_photo() -> Path:
    """The bundled picture of two people. An installed package does not carry it: `MediaError` then."""
    path = Path(__file__).parents[2] / "assets" / "two_people.png"
    if not path.is_file():
        raise MediaError("the bundled example is not installed: give a photo of your own with --photo")
    return path
