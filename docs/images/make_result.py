"""Makes result.webp, the README's moving picture, from the bundled photo:  python docs/images/make_result.py"""

import tempfile
from pathlib import Path

from PIL import Image

from fantasyportrait.media.clips import read_clip
from fantasyportrait.schema.cast import parse_role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator

HERE = Path(__file__).parent
SIZE = (768, 432)


def main() -> None:
    """Render 4 s of two people, one talking and one laughing, and keep every second frame."""
    photo = HERE.parents[1] / "assets" / "two_people.png"
    cast = (parse_role("1=motion:talk"), parse_role("2=motion:laugh"))
    request = AnimationRequest(photo, cast, duration=4.0, side_by_side=False)
    with tempfile.TemporaryDirectory() as folder:
        video = Animator().animate(request, Path(folder) / "result.mp4").video
        frames = [Image.fromarray(frame).resize(SIZE, Image.Resampling.LANCZOS) for frame in read_clip(video)][::2]
    frames[0].save(
        HERE / "result.webp", save_all=True, append_images=frames[1:], duration=80, loop=0, quality=70, method=6
    )


if __name__ == "__main__":
    main()
