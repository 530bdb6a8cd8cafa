"""What stands on the shelves: built-in motions, the models, the bundled example."""

from pathlib import Path

from fantasyportrait.core.errors import MediaError
from fantasyportrait.motion.builtin import MOTIONS
from fantasyportrait.weights.catalog import SMALL_MODELS, SmallModel
from fantasyportrait.weights.hub_catalog import HUB_SOURCES, HubSource
from fantasyportrait.weights.hub_fetch import fetch_named
from fantasyportrait.weights.hub_record import HubState, hub_states
from fantasyportrait.weights.store import ModelState, fetch_command, fetch_models, models_dir, verify_models

__all__ = [
    "HUB_SOURCES",
    "MOTIONS",
    "SMALL_MODELS",
    "HubSource",
    "HubState",
    "ModelState",
    "SmallModel",
    "example_photo",
    "fetch_command",
    "fetch_models",
    "fetch_named",
    "hub_states",
    "models_dir",
    "verify_models",
]


def example_photo() -> Path:
    """The bundled picture of two people. An installed package does not carry it: `MediaError` then."""
    path = Path(__file__).parents[2] / "assets" / "two_people.png"
    if not path.is_file():
        raise MediaError("the bundled example is not installed: give a photo of your own with --photo")
    return path
