"""The diffusion engine from Python: first the preview of a request, then the same request by the model.

python examples/animate_with_wan.py MODEL [STEPS [SIDE [clip for the person on the left]]]

MODEL is a name of `fantasyportrait weights list`, or the folder of a model (`fantasyportrait weights make-toy ./toy`);
SIDE is the longest side of the video in pixels.
"""

import sys
from dataclasses import replace
from pathlib import Path

from fantasyportrait.service.animator import Animator
from fantasyportrait.service.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.service.library import example_photo
from fantasyportrait.service.request import AnimationRequest
from fantasyportrait.service.sampling import Sampling


def main(model: str, steps: str = "30", side: str = "720", clip: str | None = None) -> None:
    """Render the bundled picture by both engines and say where the videos are."""
    left = BuiltinSource("talk") if clip is None else ClipSource(Path(clip))
    cast = (Role(face=1, source=left), Role(face=2, source=BuiltinSource("smile")))
    request = AnimationRequest(example_photo(), cast, duration=2, side_by_side=False)
    animator = Animator()
    print(animator.animate(request, Path("preview.mp4")).video)
    sampling = Sampling(model=model, steps=int(steps), seed=1)
    rendered = replace(request, engine="wan", max_side=int(side), sampling=sampling)
    print(animator.animate(rendered, Path("wan.mp4")).video)


if __name__ == "__main__":
    main(*sys.argv[1:5])
