"""The diffusion engine from Python: first the preview of a request, then the same request by the model.

python examples/animate_with_wan.py MODEL [STEPS [SIDE [clip for the person on the left]]]

MODEL is a name of `fantasyportrait weights list`, or the folder of a model (`fantasyportrait weights make-tiny
./tiny`); SIDE is the longest side of the video in pixels.
"""

import sys
from dataclasses import replace

from fantasyportrait import AnimationRequest, Animator, Role, Sampling, example_photo


def main(model: str, steps: str = "30", side: str = "720", left: str = "motion:talk") -> None:
    """Render the bundled picture with both engines and print the paths of the videos."""
    cast = [Role(1, left), Role(2, "motion:smile")]
    request = AnimationRequest(example_photo(), cast, duration=2, side_by_side=False)
    animator = Animator()
    print(animator.animate(request, "preview.mp4").video)
    sampling = Sampling(model=model, num_inference_steps=int(steps), seed=1)
    rendered = replace(request, engine="wan", max_side=int(side), sampling=sampling)
    print(animator.animate(rendered, "wan.mp4").video)


if __name__ == "__main__":
    main(*sys.argv[1:5])
