"""Projection onto laws: nearest states, dependent laws, large models, and laws of other flows."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import gradlaws as gl
from gradlaws.errors import InputError, UnclearError
from gradlaws.geometry import projection
from gradlaws.geometry.integrate import integrate
from gradlaws.geometry.motion import read_motion
from gradlaws.geometry.objective import Objective
from gradlaws.geometry.projection import Projection
from tests.geometry.flows import Product, data, deep, product_loss, squares
from tests.modules import Block, Gated, Head

X, Y = data(2, 2)


def laws_of(model, flow="gradient"):
    return gl.laws(model, X, flow=flow, lower_only=True).laws


def projector(flow="gradient"):
    model = deep(2, 3, 3, 2)
    motion = read_motion(Objective(model, squares(X, Y)), flow, None)
    start = motion.start(0.0)
    return Projection(motion, laws_of(model, flow), 0.0, start, 1.0), start


def test_it_is_the_nearest_state_on_a_hyperbola():
    model = Product()
    laws = gl.laws(model, torch.ones(1, 1).double()).laws
    motion = read_motion(Objective(model, product_loss), "gradient", None)
    project = Projection(motion, laws, 0.0, np.array([3.0, 0.5]), 1.0)
    far = np.array([3.0 + 1e-3, 0.5 - 2e-3])
    found = project(0.0, far)
    assert found[0] ** 2 - found[1] ** 2 == pytest.approx(8.75, abs=1e-14)
    nearest = minimize(lambda v: (np.hypot(8.75**0.5, v) - far[0]) ** 2 + (v - far[1]) ** 2, 0.5, tol=1e-14).x
    np.testing.assert_allclose(found[1], nearest, atol=1e-5)  # Gauss-Newton is nearest to first order


@pytest.mark.parametrize("flow", ["gradient", "momentum:tau=1/2"])
def test_large_models_are_projected_without_writing_out_gradients(monkeypatch, flow):
    project, start = projector(flow)
    far = start + 1e-3 * np.random.default_rng(0).standard_normal(len(start))
    dense = project(0.5, far)
    monkeypatch.setattr(projection, "DENSE", 0)
    np.testing.assert_allclose(project(0.5, far), dense, atol=1e-11)
    assert 1e-5 < np.linalg.norm(dense - far) < 1e-2


def test_dependent_laws_do_no_harm():
    model = deep(2, 3, 3, 2)
    laws = laws_of(model)
    once, twice = (integrate(model, squares(X, Y), 1.0, laws=found) for found in (laws, (*laws, *laws)))
    np.testing.assert_allclose(once.states, twice.states, atol=1e-12)


def test_a_state_that_is_far_away_is_refused():
    project, start = projector()
    with pytest.raises(UnclearError, match="too far from the invariant set to be projected: smaller steps"):
        project(0.0, np.zeros_like(start))


@pytest.mark.parametrize(
    ("of", "under"),
    [
        ("gradient", "momentum"),
        ("gradient", "decay:lambda=1/10"),
        ("nesterov:k=3", "nesterov:k=4"),
    ],
)
def test_laws_of_another_flow_are_refused(of, under):
    model = deep(2, 3, 3, 2)
    with pytest.raises(InputError, match="is not a law of this flow"):
        integrate(model, squares(X, Y), 1.0, flow=under, laws=laws_of(model, of))


def test_laws_of_another_model_are_refused():
    with pytest.raises(InputError, match=r"a law is about .*, which is not in this flow"):
        integrate(Product(), product_loss, 1.0, laws=laws_of(deep(2, 3, 3, 2)))


def test_methods_with_a_memory_are_refused():
    model = deep(2, 3, 3, 2)
    with pytest.raises(InputError, match="method 'LSODA' cannot be projected onto laws"):
        integrate(model, squares(X, Y), 1.0, method="LSODA", laws=laws_of(model))


def test_weights_of_laws_that_overflow_are_a_sentence():
    model = deep(2, 3, 3, 2)
    flow = "momentum:tau=1/2"
    with pytest.raises(InputError, match="laws carry the weight exp"):
        integrate(model, squares(X, Y), [0, 5000], flow=flow, laws=laws_of(model, flow))


@pytest.mark.parametrize("kind", [Block, Head, Gated])
def test_parts_of_transformers_keep_every_law(kind):
    torch.manual_seed(0)
    model, x = kind(), torch.randn(2, 4, 2 if kind is Gated else 3)
    laws = gl.laws(model, x, lower_only=True).laws
    target = torch.randn(model(x).shape)
    runs = [integrate(model, squares(x, target), 1.0, rtol=1e-4, laws=kept) for kept in ((), laws)]
    drifts = [max(float(run.drift(law).abs().max()) for law in laws) for run in runs]
    assert laws
    assert drifts[0] > 1e-8
    assert drifts[1] < 1e-13
    assert runs[1].losses[-1] < runs[1].losses[0]
