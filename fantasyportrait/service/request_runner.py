"""One run of a request in four stages: portrait, driving, render, finish."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.digests import HashedFile
from fantasyportrait.core.disk_space import check_disk_space, estimate_result_bytes
from fantasyportrait.core.errors import FantasyPortraitError, MediaError, RequestError
from fantasyportrait.core.files import file_sha256
from fantasyportrait.core.sentences import Sentence
from fantasyportrait.driving.driving_clips import (
    ClipKey,
    DrivingClip,
    build_timeline,
    check_cast_faces,
    check_clip_range,
    choose_frame_rate,
    choose_person,
    clip_key,
    clip_messages,
    expected_frames,
    late_start_messages,
)
from fantasyportrait.driving.side_by_side_panels import panels
from fantasyportrait.driving.soundtrack import audible_duration_s, sound_messages, sound_sources
from fantasyportrait.engines.base import Engine, EngineCallbacks, Frame, Scene, canonical_face
from fantasyportrait.engines.preview import PreviewEngine
from fantasyportrait.engines.progress import Progress
from fantasyportrait.faces.clip_orientation import rotation_messages
from fantasyportrait.faces.face_size_check import small_face_warnings
from fantasyportrait.images.images import ON_WHITE, Photo, even_size, on_white, resize, save_photo
from fantasyportrait.media.clip_info import ClipInfo
from fantasyportrait.media.compose import side_by_side
from fantasyportrait.media.input_digests import add_input_digests, check_input_file
from fantasyportrait.media.request_files import REQUEST_KEY
from fantasyportrait.media.result_files import check_output_paths, commit_outputs, output_paths, staging_folder
from fantasyportrait.media.sound import sound_blocks
from fantasyportrait.media.writer import ALPHA_SUFFIXES, VideoWriter
from fantasyportrait.preview.preview_times import PreviewWork
from fantasyportrait.schema.cast import ClipSource
from fantasyportrait.schema.events import Event, Message, PreviewImage, Result, Stage, StageName
from fantasyportrait.schema.face import Face, MaskedFace, Track
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.schema.timeline import Timeline
from fantasyportrait.service.input_reader import InputReader

PREVIEW_INTERVAL_S = 0.5
PREVIEW_IMAGE_SIDE = 512
METADATA = {"comment": "Made with FantasyPortrait: a photo animated by AI, not a recording."}


class RequestRunner:
    """Runs a request stage by stage. `emit` receives every event but the last, which the caller sends."""

    def __init__(
        self,
        inputs: InputReader,
        engine: Callable[[str], Engine],
        request: AnimationRequest,
        output: Path,
        cancel: CancelToken,
        emit: Callable[[Event], None],
    ) -> None:
        self._inputs, self._engine, self._request = inputs, engine, request
        self._cancel, self._emit = cancel, emit
        self._paths = output_paths(output)
        self._messages: list[str] = []
        self._clips: dict[Path, HashedFile] = {}
        self._keeps_alpha = False
        self._callbacks = EngineCallbacks(
            message=self._message,
            stage=self._stage,
            preview_image=lambda frame: self._emit(PreviewImage(_reduced(frame))),
        )

    def result(self) -> Result:
        """Run all stages. Raises a `FantasyPortraitError` with its messages, and then leaves nothing on the disk."""
        try:
            return self._run_stages()
        except FantasyPortraitError as error:
            error.messages = tuple(dict.fromkeys([*self._messages, *error.messages]))
            raise

    def side_by_side(self) -> Path:
        """Make the side-by-side video of a result that is finished; returns its path. Raises as `result` does."""
        scene, clips = self._prepare(self._engine(self._request.engine))
        progress = self._stage("finish", scene.timeline.frames)
        self._compose(scene, clips, self._paths.video, self._paths.side_by_side, progress)
        return self._paths.side_by_side

    def _run_stages(self) -> Result:
        engine = self._engine(self._request.engine)
        self._draw_seed()
        engine.check(self._request)
        scene, clips = self._prepare(engine)
        self._check_space(scene)
        with staging_folder(self._paths) as folder:
            video = folder / self._paths.video.name
            self._request = self._with_portrait_file(folder)
            begin = time.monotonic()
            self._render(engine, scene, clips, video)
            self._finish(scene, clips, video)
            if engine.name == PreviewEngine.name:
                height, width = scene.pixels.shape[:2]
                work = PreviewWork(width, height, scene.timeline.frames, self._request.side_by_side)
                self._inputs.preview_times.record(work, time.monotonic() - begin)
        side = self._paths.side_by_side if self._request.side_by_side else None
        length_s = float(scene.timeline.duration_s)
        return Result(
            self._paths.video, side, self._paths.request, tuple(self._messages), scene.timeline.frames, length_s
        )

    def _prepare(self, engine: Engine) -> tuple[Scene, tuple[DrivingClip, ...]]:
        """The stages before the first frame: the scene of the request, and its driving clips."""
        infos = self._check_inputs()
        self._clips = {clip.path: self._inputs.hashed(clip.path) for clip in self._request.clips}
        custom_sound_s = self._custom_sound_s()
        rate, messages = choose_frame_rate(self._request, infos, self._inputs.decoder)
        self._keep(messages)
        photo, faces = self._portrait(engine)
        clips = self._driving(infos, rate)
        sound_s = custom_sound_s or audible_duration_s(self._request, clips, rate)
        timeline = build_timeline(self._request.duration, rate, clips, sound_s)
        self._keep(late_start_messages(clips, timeline))
        self._keep(sound_messages(self._request, clips, timeline, custom_sound_s))
        return self._scene(photo, faces, clips, timeline), clips

    def _draw_seed(self) -> None:
        sampling = self._request.sampling.with_random_seed()
        if sampling != self._request.sampling:
            self._request = replace(self._request, sampling=sampling)
            self._keep(
                [Sentence("the seed is {seed}, drawn at random and kept in the saved request", seed=sampling.seed)]
            )

    def _check_inputs(self) -> dict[ClipKey, ClipInfo]:
        """Check the inputs before any slow stage; return the properties of the clips."""
        request = self._request
        check_output_paths(self._paths, request.files, saves_portrait=not isinstance(request.portrait, Path))
        for path, what in request.inputs:
            check_input_file(path, what)
        decoder = self._inputs.decoder
        infos = {clip_key(clip): decoder.probe(clip.path) for clip in request.clips}
        for clip in request.clips:
            check_clip_range(clip, infos[clip_key(clip)])
        return infos

    def _custom_sound_s(self) -> Fraction | None:
        """Seconds of the request's sound file from its start on, None without one; raises for a file without sound."""
        sound = self._request.custom_sound
        if sound is None:
            return None
        length_s = self._inputs.decoder.sound_length_s(sound.path)
        if not length_s:
            raise MediaError("{path} has no sound: choose another file, or the sound none", path=sound.path)
        if length_s <= sound.start_s:
            raise RequestError(
                "the sound {path} lasts {length_s:.2f} s and its start is {start_s:g} s: choose an earlier start",
                path=sound.path,
                length_s=float(length_s),
                start_s=sound.start_s,
            )
        return length_s - Fraction(sound.start_s)

    def _portrait(self, engine: Engine) -> tuple[Photo, tuple[MaskedFace, ...]]:
        """The photo at the size of the video, and its faces."""
        progress = self._stage("portrait", 1)
        request = self._request
        photo, faces = self._inputs.faces(request.portrait, request.detector, request.face_edits)
        self._keeps_alpha = engine.keeps_alpha and self._paths.video.suffix.lower() in ALPHA_SUFFIXES
        self._keep(filter(None, (self._photo_message(text, engine) for text in photo.messages)))
        check_cast_faces(request, faces)
        self._request, messages = add_input_digests(request, photo.sha256, self._clips)
        self._keep(messages)
        photo, faces = self._at_video_size(engine, photo, faces)
        masked = self._inputs.masked(photo.pixels, faces)
        progress.update(1)
        return photo, masked

    def _at_video_size(self, engine: Engine, photo: Photo, faces: tuple[Face, ...]) -> tuple[Photo, tuple[Face, ...]]:
        height, width = photo.pixels.shape[:2]
        size = engine.frame_size(width, height, self._request.max_side)
        if size == (width, height):
            return photo, faces
        self._keep(
            [
                Sentence(
                    "the photo ({width} x {height}) was resized to {new_width} x {new_height}",
                    width=width,
                    height=height,
                    new_width=size[0],
                    new_height=size[1],
                )
            ]
        )
        moving = {role.face for role in self._request.cast if role.source is not None}
        cast = [face for face in faces if face.id in moving]
        self._keep(
            small_face_warnings(cast, (width, height), size, lambda side: engine.frame_size(width, height, side))
        )
        resized = tuple(face.resized((width, height), size) for face in faces)
        alpha = None if photo.alpha is None else resize(photo.alpha, size)
        return replace(photo, pixels=resize(photo.pixels, size), alpha=alpha), resized

    def _photo_message(self, text: str, engine: Engine) -> str:
        """The message about the photo; what is said of transparent parts depends on the result. Empty for none."""
        if text != ON_WHITE:
            return text
        if not engine.keeps_alpha:
            return Sentence("{on_white}: the engine {name} makes opaque frames", on_white=ON_WHITE, name=engine.name)
        return (
            ""
            if self._keeps_alpha
            else Sentence("{on_white}: .webm and PNG frames keep them transparent", on_white=ON_WHITE)
        )

    def _driving(self, infos: dict[ClipKey, ClipInfo], rate: Fraction) -> tuple[DrivingClip, ...]:
        """Track every clip once, and choose the person of each role."""
        sources = {clip_key(source): source for source in self._request.clips}
        expected = {key: expected_frames(source, infos[key], rate) for key, source in sources.items()}
        progress = self._stage("driving", sum(expected.values()))
        tracks: dict[ClipKey, tuple[Track, ...]] = {}
        before = 0
        for key, source in sources.items():
            self._cancel.check()
            tracks[key] = self._inputs.tracks(
                source.path,
                rate,
                source.start_s,
                source.end_s,
                progress=lambda done, total, before=before: progress.update(before + done),  # type: ignore[misc]
                cancel=self._cancel,
            )
            self._keep(rotation_messages(source.path, self._inputs.decoder.rotation_of(source.path)))
            before += expected[key]
            self._clips[source.path].check_unchanged()
        progress.update(progress.total)
        clips = tuple(
            DrivingClip(role.face, role.source, infos[clip_key(role.source)], choose_person(role.source, tracks[key]))
            for role in self._request.cast
            if isinstance(role.source, ClipSource) and (key := clip_key(role.source))
        )
        for clip in clips:
            self._keep(clip_messages(clip, rate, self._inputs.decoder.limits.track_rows))
        return clips

    def _scene(
        self, photo: Photo, faces: Sequence[MaskedFace], clips: Sequence[DrivingClip], timeline: Timeline
    ) -> Scene:
        tracks = {clip.face: clip.track for clip in clips}
        alpha = photo.alpha if self._keeps_alpha else None
        return Scene(photo.pixels, tuple(faces), tracks, timeline, self._request, self._clips, alpha)

    def _check_space(self, scene: Scene) -> None:
        """Raise `OutputError` where the disk has no room for the result."""
        height, width = scene.pixels.shape[:2]
        timeline, folder = scene.timeline, self._paths.video.parent
        suffix, length_s = self._paths.video.suffix, float(timeline.duration_s)
        size = estimate_result_bytes(suffix, (width, height), timeline.frames, length_s, self._request.side_by_side)
        check_disk_space(folder, size, f"the result {self._paths.video.name}")

    def _render(self, engine: Engine, scene: Scene, clips: Sequence[DrivingClip], video: Path) -> None:
        height, width = scene.pixels.shape[:2]
        look_at = 0.0
        with closing(engine.render(scene, self._cancel, self._callbacks)) as frames:
            # The engine may emit stages of its own before its first frame.
            first = next(frames)
            progress = self._stage("render", scene.timeline.frames)
            sound = self._sound(clips, scene.timeline)
            metadata = METADATA | {REQUEST_KEY: self._request.portable_json()}
            alpha = scene.alpha is not None
            with VideoWriter(video, (width, height), scene.timeline.rate, sound, metadata, alpha=alpha) as writer:
                for number, frame in enumerate(itertools.chain([first], frames), 1):
                    self._cancel.check()
                    writer.write(frame)
                    progress.update(number)
                    if time.monotonic() >= look_at:
                        look_at = time.monotonic() + PREVIEW_INTERVAL_S
                        self._callbacks.preview_image(frame)

    def _finish(self, scene: Scene, clips: Sequence[DrivingClip], video: Path) -> None:
        """Write the side-by-side video and the request, then move all files in place."""
        progress = self._stage("finish", scene.timeline.frames)
        made = video.parent / self._paths.request.name
        made.write_text(self._request.json_for(self._paths.video.parent), encoding="utf-8")
        if self._request.side_by_side:
            self._compose(scene, clips, video, video.parent / self._paths.side_by_side.name, progress)
        # The sound and the side by side read the clips to the end; a video made for an hour is kept all the same.
        self._keep(
            Sentence(
                "{name} was changed or removed while the video was made: its sound and the side by side may be "
                "of another version",
                name=clip.path.name,
            )
            for clip in self._clips.values()
            if clip.has_changed()
        )
        self._cancel.check()
        commit_outputs(video.parent, self._paths)
        progress.update(progress.total)

    def _compose(self, scene: Scene, clips: Sequence[DrivingClip], video: Path, side: Path, progress: Progress) -> None:
        """Write the side-by-side video of the result in `video` to `side`."""

        def on_frame(number: int) -> None:
            self._cancel.check()
            progress.update(number)

        sound = self._sound(clips, scene.timeline)
        canonical = canonical_face(self._inputs.models_dir)
        columns = panels(scene, clips, self._inputs.decoder, canonical, video, on_frame)
        side_by_side(side, columns, scene.timeline, sound, METADATA)

    def _with_portrait_file(self, folder: Path) -> AnimationRequest:
        """The request to save: a portrait in memory is written to `folder` and becomes a file beside the result."""
        if isinstance(self._request.portrait, Path):
            return self._request
        made = folder / self._paths.portrait.name
        save_photo(made, self._request.portrait)
        return replace(self._request, portrait=self._paths.portrait, portrait_sha256=file_sha256(made))

    def _sound(self, clips: Sequence[DrivingClip], timeline: Timeline) -> Iterator[NDArray[np.float32]] | None:
        """A new stream of the result's sound, None without sound."""
        sources, messages = sound_sources(self._request, clips, timeline)
        self._keep(messages)
        read = self._inputs.decoder.sound
        return sound_blocks(sources, timeline.duration_s, read) if sources else None

    def _stage(self, name: StageName, total: int) -> Progress:
        self._cancel.check()
        self._emit(Stage(name))
        return Progress(self._emit, name, total)

    def _keep(self, texts: Iterable[str]) -> None:
        for text in texts:
            self._message(Message(text))

    def _message(self, message: Message) -> None:
        """Emit the message, and keep it for the result; a kept one is emitted once."""
        if not message.keep:
            self._emit(message)
        elif message.text not in self._messages:
            self._messages.append(message.text)
            self._emit(message)


def _reduced(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    return resize(on_white(frame), even_size(width, height, PREVIEW_IMAGE_SIDE))
