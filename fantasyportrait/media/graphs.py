"""Short filter graphs: a source made after a frame, steps in a row, one sink."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av import VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext


@dataclass(frozen=True)
class Pipe:
    """A ready graph and where frames enter it."""

    graph: Graph
    entrance: FilterContext

    def map(self, frame: VideoFrame) -> VideoFrame:
        """Push one frame through filters that hold nothing back."""
        self.entrance.push(frame)
        return self.graph.vpull()

    def drain(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Push `frame` (None at the end) and give out what is ready."""
        self.entrance.push(frame)
        while True:
            try:
                yield self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def chain(frame: VideoFrame, *steps: tuple[str, str]) -> Pipe:
    """Sends frames like `frame` through the filters (name, options), one after the other."""
    graph = Graph()
    entrance = _source(graph, frame)
    graph.link_nodes(entrance, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
    return Pipe(graph, entrance)


def join(frame: VideoFrame, still: VideoFrame, mixer: tuple[str, str], *steps: tuple[str, str]) -> Pipe:
    """Sends frames like `frame` through a filter of two inputs, the second of which is always `still`, then `steps`."""
    graph = Graph()
    entrance, side = _source(graph, frame), _source(graph, still)
    mix = graph.add(*mixer)
    entrance.link_to(mix, 0, 0)
    side.link_to(mix, 0, 1)
    graph.link_nodes(mix, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
    still.pts = 0
    side.push(still)
    side.push(None)
    return Pipe(graph, entrance)


def _source(graph: Graph, frame: VideoFrame) -> FilterContext:
    options = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(frame.time_base or "1/1000"),
        "colorspace": str(int(frame.colorspace)),
        "range": str(int(frame.color_range)),
    }
    return graph.add("buffer", ":".join(f"{key}={value}" for key, value in options.items()))
