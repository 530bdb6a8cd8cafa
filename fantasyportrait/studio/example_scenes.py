"""The bundled examples as the page shows them: pictures, all of them alive as loops, and what their faces can do."""

import logging
import threading
from pathlib import Path
from typing import Any

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import Cancelled, FantasyPortraitError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.paths import ExamplePhoto, example_photos
from fantasyportrait.images.images import even_size, load_photo, resize, save_image
from fantasyportrait.live.motion_gallery import motion_loop
from fantasyportrait.live.scene_preview import scene_loop
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator
from fantasyportrait.studio.motion_loops import FOLDER as MOTIONS_FOLDER
from fantasyportrait.studio.session_store import SHOWN

POSTER_SIDE = 640
# Those that a small picture tells apart.
SHOWN_MOTIONS = ("laugh", "talk", "wink", "surprise", "sing", "kiss", "yawn", "look_around")


class ExampleScenes:
    """Makes the pictures and loops of the examples in the background. They stay in `folder` for the next start.

    `folder` is beside those of the sessions, so that its files are served as theirs are.
    """

    def __init__(self, folder: Path, animator: Animator) -> None:
        self._folder, self._animator = folder, animator
        self._token = CancelToken()
        self._scenes: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._make, name="fantasyportrait-examples", daemon=True)

    def start(self) -> None:
        """Begin to make what is not there yet."""
        self._thread.start()

    def view(self) -> list[dict[str, Any]]:
        """The examples that are ready: name, number of faces, URLs of a picture and of a loop (None until it is).

        `motions` of the first one are built-in motions on its faces in turn: the name of each, and the URL of its loop
        and poster without the suffix.
        """
        return list(self._scenes)

    def join(self) -> None:
        """Wait until all are made."""
        self._thread.join()

    def close(self) -> None:
        """Stop."""
        self._token.cancel()
        if self._thread.is_alive():
            self.join()

    def _make(self) -> None:
        try:
            examples = example_photos()
            (self._folder / SHOWN).mkdir(parents=True, exist_ok=True)
            keys = [f"{example.name.replace('_', '-')}-{file_sha256(example.path)[:12]}" for example in examples]
            self._scenes = [self._scene(example, key) for example, key in zip(examples, keys, strict=True)]
            for number, (example, key) in enumerate(zip(examples, keys, strict=True)):
                loop = self._folder / SHOWN / f"{key}.mp4"
                if not loop.exists():
                    scene_loop(self._animator, _request(example), loop, self._token)
                self._scenes[number] = {**self._scenes[number], "loop": self._url(loop.name)}
            self._add_motions(examples[0])
        except Cancelled:
            pass
        except FantasyPortraitError as error:
            logging.getLogger(__name__).warning("the page has no examples: %s", error)
        except Exception:
            logging.getLogger(__name__).exception("the examples cannot be made")

    def _add_motions(self, example: ExamplePhoto) -> None:
        """Make the loops of the motions on the faces of the first example, one after the other."""
        folder = self._folder / MOTIONS_FOLDER
        folder.mkdir(exist_ok=True)
        for number, motion in enumerate(SHOWN_MOTIONS):
            face = number % len(example.motions) + 1
            made = motion_loop(self._animator, example.path, face, motion, folder, cancel=self._token)
            tile = {"name": motion, "url": self._url(f"{folder.name}/{made.video.stem}")}
            self._scenes[0] = {**self._scenes[0], "motions": [*self._scenes[0]["motions"], tile]}

    def _scene(self, example: ExamplePhoto, key: str) -> dict[str, Any]:
        poster = self._folder / SHOWN / f"{key}.jpg"
        if not poster.exists():
            pixels = load_photo(example.path).pixels
            height, width = pixels.shape[:2]
            save_image(poster, resize(pixels, even_size(width, height, POSTER_SIDE)), 85)
        faces = len(example.motions)
        return {"name": example.name, "faces": faces, "poster": self._url(poster.name), "loop": None, "motions": []}

    def _url(self, name: str) -> str:
        """The URL of a file by its path in the folder of what is shown."""
        return f"files/{self._folder.name}/{SHOWN}/{name}"


def _request(example: ExamplePhoto) -> AnimationRequest:
    cast = tuple(Role(face, BuiltinSource(motion)) for face, motion in enumerate(example.motions, start=1))
    return AnimationRequest(example.path, cast)
