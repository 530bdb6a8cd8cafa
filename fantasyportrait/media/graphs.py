"""Short filter graphs: a source made after a frame, steps in a row, one sink."""

from collections.abc import Iterator

import av
from av import VideoFrame
from av.filter import Graph
from av.filter.context import FilterContext


def add_source(graph: Graph, frame: VideoFrame) -> FilterContext:
    """A buffer that takes frames of the size, format, colours and time base of `frame`."""
    options = {
        "video_size": f"{frame.width}x{frame.height}",
        "pix_fmt": frame.format.name,
        "time_base": str(frame.time_base or "1/1000"),
        "colorspace": str(int(frame.colorspace)),
        "range": str(int(frame.color_range)),
    }
    return graph.add("buffer", ":".join(f"{key}={value}" for key, value in options.items()))


def chain(frame: VideoFrame, *steps: tuple[str, str]) -> Graph:
    """A ready graph that sends frames like `frame` through the filters (name, options), one after the other."""
    graph = Graph()
    filters = [graph.add(name, options) for name, options in steps]
    graph.link_nodes(add_source(graph, frame), *filters, graph.add("buffersink")).configure()
    return graph


def drain(graph: Graph, frame: VideoFrame | None) -> Iterator[VideoFrame]:
    """Push `frame` (None at the end) and give out what is ready."""
    graph.vpush(frame)
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
