"""The text of a progress step."""

import pytest

from fantasyportrait.schema.events import Step
from ui.strings import step_text


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step("sample", 2, 30, None), "Sampling: step 2 of 30"),
        (Step("sample", 3, 30, 65.4), "Sampling: step 3 of 30, about 65 s left"),
        (Step("sample", 4, 30, 600.0), "Sampling: step 4 of 30, about 10 min left"),
        (Step("render", 24, 25, 0.1), "Rendering: 96 %, a moment left"),
        # What is done says no more of the time; the next stage may take long.
        (Step("sample", 30, 30, 0.0), "Sampling: step 30 of 30"),
        (Step("model", 1, 1, 0.0), "Loading the model: 100 %"),
    ],
)
def test_step_text_shows_progress_and_time(step: Step, said: str) -> None:
    assert step_text(step) == said
