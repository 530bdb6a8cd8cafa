"""The plain lines that the terminal shows for the events of a run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fantasyportrait.cli.display import animate_with_progress, print_result
from fantasyportrait.schema import events
from fantasyportrait.schema.cast import BuiltinSource, Role
from fantasyportrait.schema.request import AnimationRequest
from fantasyportrait.service.animator import Animator


def test_display_shows_kept_messages_with_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Kept messages of earlier stages are shown with the result only; those of the model stage also at once."""
    video, request = tmp_path / "out.mp4", AnimationRequest("a.png", [Role(1, BuiltinSource("nod"))])
    result = events.Result(video, None, video, ("the photo was resized", "one profile lower"), 4, 0.16)

    def run(*_: object) -> Iterator[events.Event]:
        yield events.Stage("portrait")
        yield events.Message("the photo was resized")
        yield events.Message("the job restarts on another worker", keep=False)
        yield events.Stage("model")
        yield events.Message("about 12 min", keep=False)
        yield events.Stage("sample")
        yield events.Message("one profile lower")
        yield events.Done(result)

    monkeypatch.setattr(Animator, "events", run)
    print_result(animate_with_progress(request, video, None))
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "photo ...",
        "the job restarts on another worker",
        "loading model ...",
        "about 12 min",
        "sampling ...",
        "one profile lower",
    ]
    assert shown.out.splitlines()[:2] == ["note: the photo was resized", "note: one profile lower"]
