"""Two people in one photo act two motions; a driving clip works the same way.

python examples/animate_two_people.py [clip for the person on the left]
"""

import sys

from fantasyportrait import AnimationRequest, Animator, Role, events, example_photo


def main() -> None:
    """Animate the bundled picture and print the path of the video."""
    left = sys.argv[1] if len(sys.argv) > 1 else "motion:talk"
    request = AnimationRequest(
        portrait=example_photo(),
        cast=[Role(1, left), Role(2, "motion:smile", strength=1.2)],
        duration=2,
    )
    for event in Animator().events(request, "two_people.mp4"):
        if isinstance(event, events.Step):
            print(f"\r{event.stage}: {event.done} of {event.total}   ", end="")
        elif isinstance(event, events.Message):
            print(f"\nnote: {event.text}")
        elif isinstance(event, events.Done):
            print(f"\nvideo: {event.result.video}, side by side: {event.result.side_by_side}")
        elif isinstance(event, events.Failed):
            sys.exit(f"\n{event.error}")


if __name__ == "__main__":
    main()
