"""The diffusion engine: a scene goes in, frames come out of the paper's model."""

from collections.abc import Iterator
from pathlib import Path

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.media.images import multiple_size
from fantasyportrait.runtime.placement import Placement
from fantasyportrait.service.engines import PREVIEW_SIDE, Frame, Scene, Watch

WAN_SIDE = 720
SIDE_MULTIPLE = 16


class WanEngine:
    """The diffusion engine. Its model stays loaded for the next request; one request runs at a time."""

    name = "wan"

    def __init__(self, models_dir: Path | None, cache_dir: Path | None, placement: Placement) -> None:
        self._models_dir, self._cache_dir, self._placement = models_dir, cache_dir, placement

    def look_side(self, max_side: int | None) -> int:
        """Faces are looked for in a larger picture than the result, where small ones are still seen."""
        return PREVIEW_SIDE

    def frame_size(self, width: int, height: int, max_side: int | None) -> tuple[int, int]:
        """The longest side as published, both sides multiples of 16."""
        return multiple_size(width, height, max_side or WAN_SIDE, SIDE_MULTIPLE)

    def render(self, scene: Scene, cancel: CancelToken, watch: Watch) -> Iterator[Frame]:
        """Yield the scene's frames."""
        raise NotImplementedError
