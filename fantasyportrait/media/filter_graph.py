"""Short FFmpeg filter graphs: a source with the properties of a frame, filters in a row, one sink."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av import VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext


@dataclass(frozen=True)
class FilterGraph:
    """A configured graph and its sources."""

    graph: Graph
    source: FilterContext

    def map(self, frame: VideoFrame) -> VideoFrame:
        """Push one frame through filters that hold nothing back."""
        self.source.push(frame)
        return self.graph.vpull()

    def drain(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Push `frame` (None at the end) and yield the frames that are ready."""
        self.source.push(frame)
        while True:
            try:
                yield self.graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return


def filter_chain(frame: VideoFrame, *steps: tuple[str, str]) -> FilterGraph:
    """Sends frames like `frame` through the filters (name, options), one after the other."""
    graph = Graph()
    source = _source(graph, frame)
    graph.link_nodes(source, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
    return FilterGraph(graph, source)


def two_input_graph(
    frame: VideoFrame, still: VideoFrame, mixer: tuple[str, str], *steps: tuple[str, str]
) -> FilterGraph:
    """Sends frames like `frame` through a filter of two inputs, the second of which is always `still`, then `steps`."""
    graph = Graph()
    source, side = _source(graph, frame), _source(graph, still)
    mix = graph.add(*mixer)
    source.link_to(mix, 0, 0)
    side.link_to(mix, 0, 1)
    graph.link_nodes(mix, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
    still.pts = 0
    side.push(still)
    side.push(None)
    return FilterGraph(graph, source)


def _source(graph: Graph, frame: VideoFrame) -> FilterContext:
    options = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(frame.time_base or "1/1000"),
        "colorspace": str(int(frame.colorspace)),
        "range": str(int(frame.color_range)),
    }
    return graph.add("buffer", ":".join(f"{key}={value}" for key, value in options.items()))
