"""Who is in a photo: python examples/list_faces.py photo.png [boxes.png]"""

import sys
from pathlib import Path

from fantasyportrait import InputReader
from fantasyportrait.faces.annotate import write_annotated


def main() -> None:
    """Print every face, and save the photo with numbered boxes where a second path is given."""
    photo, faces = InputReader().faces(sys.argv[1])
    for face in faces:
        left, top, right, bottom = face.box.round()
        place = f"x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f}"
        print(f"face {face.id}: {place}, turned {face.pose.yaw:+.0f} degrees")
    if len(sys.argv) > 2:
        write_annotated(Path(sys.argv[2]), photo.pixels, faces)


if __name__ == "__main__":
    main()
