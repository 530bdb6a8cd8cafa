"""The smoothing of the 222 landmarks is the public code's."""

import numpy as np

from fantasyportrait.motion.group_smoothing import GroupSmoother
from tests.parity.cases import Cases


def test_smoothed_landmarks_equal_public_code(cases: Cases) -> None:
    case = cases.arrays("smoothing")
    smoother = GroupSmoother()
    smoothed = [smoother.smooth(row, float(case["face_size"])) for row in case["raw"]]
    np.testing.assert_allclose(smoothed, case["smoothed"], rtol=0, atol=1e-6)
