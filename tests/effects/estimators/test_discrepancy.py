"""A surface without a posterior is as wrong as the Gaussian process says, plus how far it lies from it."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.effects.estimators import Response, with_error


@dataclass
class Plane:
    """y_j = slope_j * (first weight) * (1 + state); knows its error, and that of changes as half of it."""

    slopes: np.ndarray
    spread: float = 0.0
    noise: np.ndarray = field(default_factory=lambda: np.array([0.5, 0.25]))
    degrees_of_freedom: float = 7.0
    notes: tuple[str, ...] = ()

    def mean(self, weights, state):
        return weights[:, :1] * (1 + state[:, :1]) * self.slopes

    def error(self, weights, state):
        return np.full((len(weights), len(self.slopes)), self.spread)

    def contrast(self, start, end, state):
        change = (end - start)[:, :1] * (1 + state[0]) * self.slopes
        return change, np.full(change.shape, self.spread / 2)

    def restricted(self, outcomes):
        return Plane(self.slopes[outcomes], self.spread, self.noise[outcomes], self.degrees_of_freedom)


class ComparingPlane(Plane):
    def contrast_apart(self, start, end, state, other):
        change = self.contrast(start, end, other)[0] - self.contrast(start, end, state)[0]
        return change, np.full(change.shape, self.spread / 4)


START, END = np.array([[0.2, 0.8]]), np.array([[0.6, 0.4], [0.2, 0.8]])
HERE, THERE = np.array([0.0]), np.array([1.0])


@pytest.fixture
def joined():
    own = Plane(np.array([4.0, 1.0]), notes=("One effect for all pool states.",))
    return with_error(own, Plane(np.array([1.0, 1.0]), spread=0.9))


def test_the_mean_is_its_own_and_noise_and_degrees_of_freedom_are_the_process_s(joined):
    assert isinstance(joined, Response)
    assert joined.mean(END, np.zeros((2, 1)))[:, 0] == pytest.approx([2.4, 0.8])
    assert joined.noise.tolist() == [0.5, 0.25]
    assert joined.degrees_of_freedom == 7
    assert joined.notes == ("One effect for all pool states.",)


def test_errors_add_the_distance_between_the_two_surfaces(joined):
    found = joined.error(END, np.zeros((2, 1)))
    assert found == pytest.approx(np.hypot(0.9, [[1.8, 0], [0.6, 0]]))
    change, error = joined.contrast(START, END, HERE)
    assert change == pytest.approx(np.array([[1.6, 0.4], [0, 0]]))
    assert error == pytest.approx(np.hypot(0.45, [[1.2, 0], [0, 0]]))


@pytest.mark.parametrize(("kind", "expected"), [(Plane, 0.9), (ComparingPlane, 0.225)])
def test_states_are_compared_as_well_as_the_process_can(kind, expected):
    joined = with_error(Plane(np.array([4.0, 1.0])), kind(np.array([1.0, 1.0]), spread=0.9))
    change, error = joined.contrast_apart(START, END[:1], HERE, THERE)
    assert change == pytest.approx(np.array([[1.6, 0.4]]))
    assert error == pytest.approx(np.hypot(expected, [[1.2, 0]]))


def test_restricted_answers_for_the_outcomes_asked_for(joined):
    only = joined.restricted([1])
    assert only.noise.tolist() == [0.25]
    for all_of_them, one in zip(
        joined.contrast(START, END, HERE), only.contrast(START, END, HERE), strict=True
    ):
        assert one == pytest.approx(all_of_them[:, [1]])


@given(st.floats(-50, 50), st.floats(-50, 50), st.floats(0, 10), st.floats(0, 1), st.floats(-3, 3))
def test_no_surface_looks_surer_than_the_process(own, process, spread, weight, state):
    slope = np.array([process])
    joined = with_error(Plane(np.array([own])), Plane(slope, spread, noise=np.ones(1)))
    error = joined.error(np.array([[weight, 1 - weight]]), np.array([[state]]))
    assert error.item() >= spread
    assert error.item() >= abs(own - process) * weight * abs(1 + state) * (1 - 1e-9)
