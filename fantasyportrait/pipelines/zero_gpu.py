"""Sampling on a ZeroGPU Space: `spaces` lends the GPU to a forked process, for one call.

Only data crosses between the processes: the job goes in; steps, messages and chunks of frames come out.
"""

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fantasyportrait.core.cancel import CancelToken
from fantasyportrait.core.errors import FantasyPortraitError, RequestError
from fantasyportrait.core.optional import require
from fantasyportrait.pipelines.portrait_pipeline import FantasyPortraitPipeline
from fantasyportrait.pipelines.video_sampling import PreviewCallback, VideoJob, sample_video
from fantasyportrait.runtime.torch_config import torch_settings
from fantasyportrait.schema.events import Message, MessageCallback
from fantasyportrait.schema.guidance import needs_negative_prompt


@dataclass(frozen=True, eq=False)
class _StepDone:
    """A finished step: how many are done, and the preview image."""

    done: int
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class _Failed:
    """An error that the user can fix; `spaces` would replace it by one without its sentence."""

    error: FantasyPortraitError


_Item = _StepDone | Message | NDArray[np.uint8] | _Failed


@dataclass(frozen=True, eq=False)
class _Resident:
    """The pipeline as it is: a forked process loads no other one when memory runs out."""

    pipeline: FantasyPortraitPipeline

    def fall_back(self, on_message: MessageCallback) -> bool:
        """False: there is no other pipeline."""
        return False


class ZeroGpuSampler:
    """`sample_video` in the process that has the GPU. Make it in the main thread, before the app is launched.

    Args:
        pipeline: resident on the device; the forked process has it.
        device: of the pipeline.

    Raises `DependencyError` where the package `spaces` is not installed.
    """

    def __init__(self, pipeline: FantasyPortraitPipeline, device: torch.device) -> None:
        spaces = require("spaces", extra="zerogpu", purpose="rendering on ZeroGPU")

        def sample_on_gpu(job: VideoJob, seconds: int) -> Iterator[_Item]:
            with torch_settings(device), closing(_items(_Resident(pipeline), job)) as items:
                yield from items

        self._pipeline = pipeline
        self._sample_on_gpu = spaces.GPU(sample_on_gpu, duration=lambda job, seconds: seconds)

    def sample(
        self, seconds: int, job: VideoJob, watch: PreviewCallback, on_message: MessageCallback, cancel: CancelToken
    ) -> Iterator[NDArray[np.uint8]]:
        """Sample, then yield chunks of frames, as `sample_video` does.

        Args:
            seconds: GPU time to ask for.
            job: the video.
            watch, on_message, cancel: see `sample_video`; `cancel` is checked after every step.

        Raises `Cancelled`, and `RequestError` if nothing fits or Spaces gives no GPU, with its reason.
        """
        # The text encoder runs on the CPU: afterwards the embeddings are in its cache.
        negative = (job.sampling.negative_prompt,) if needs_negative_prompt(job.sampling) else ()
        for prompt in (job.sampling.prompt, *negative):
            cancel.check()
            self._pipeline.encode_prompt(prompt)
        with closing(self._lent(job, seconds)) as items:
            for item in items:
                cancel.check()
                if isinstance(item, _Failed):
                    raise item.error
                if isinstance(item, _StepDone):
                    watch(item.done, item.picture)
                elif isinstance(item, Message):
                    on_message(item)
                else:
                    yield item

    def _lent(self, job: VideoJob, seconds: int) -> Generator[_Item, None, None]:
        """The items of the call; an error of Spaces, such as a used up quota, becomes a `RequestError`."""
        try:
            yield from self._sample_on_gpu(job, seconds)
        except Exception as error:
            # An error of gradio, which this room does not import.
            title, message = getattr(error, "title", None), getattr(error, "message", None)
            if title is None or message is None:
                raise
            raise RequestError("{title}: {message}", title=title, message=message) from error


def _items(source: _Resident, job: VideoJob) -> Generator[_Item, None, None]:
    """What `sample_video` reports and yields, in its order; closing the generator cancels it."""
    items: queue.SimpleQueue[_Item | BaseException | None] = queue.SimpleQueue()
    cancel = CancelToken()

    def work() -> None:
        try:
            for chunk in sample_video(source, job, lambda *step: items.put(_StepDone(*step)), items.put, cancel):
                items.put(chunk)
                cancel.check()
            items.put(None)
        except FantasyPortraitError as error:
            items.put(_Failed(error))
            items.put(None)
        except BaseException as error:
            items.put(error)

    worker = threading.Thread(target=work, name="fantasyportrait-zero-gpu")
    worker.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        cancel.cancel()
        worker.join()
