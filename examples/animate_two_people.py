"""Two people in one photo act two motions; a driving clip works the same way.

python examples/animate_two_people.py [clip for the person on the left]
"""

import sys
from pathlib import Path

from fantasyportrait.service.animator import Animator
from fantasyportrait.service.cast import BuiltinSource, ClipSource, Role
from fantasyportrait.service.events import Done, Failed, Note, Step
from fantasyportrait.service.library import example_photo
from fantasyportrait.service.request import AnimationRequest


def main() -> None:
    """Animate the bundled picture and say where the video is."""
    left = ClipSource(Path(sys.argv[1])) if len(sys.argv) > 1 else BuiltinSource("talk")
    request = AnimationRequest(
        portrait=example_photo(),
        cast=(Role(face=1, source=left), Role(face=2, source=BuiltinSource("smile"), strength=1.2)),
        duration=2,
    )
    for event in Animator().events(request, Path("two_people.mp4")):
        if isinstance(event, Step):
            print(f"\r{event.stage}: {event.done} of {event.total}   ", end="")
        elif isinstance(event, Note):
            print(f"\nnote: {event.text}")
        elif isinstance(event, Done):
            print(f"\nvideo: {event.result.video}, side by side: {event.result.side_by_side}")
        elif isinstance(event, Failed):
            sys.exit(f"\n{event.error}")


if __name__ == "__main__":
    main()
