"""How a flow is asked for, and the sentence for what is not understood."""

from fractions import Fraction

import pytest

from gradlaws.errors import InputError
from gradlaws.flows.decay import WeightDecay
from gradlaws.flows.metric import ENTROPY, Geometry, Hessian, Hypentropy, Power, mirror, rates
from gradlaws.flows.momentum import Descent, HeavyBall, Nesterov
from gradlaws.flows.natural import Natural
from gradlaws.flows.read import FLOWS, read_flow
from gradlaws.flows.signs import SignFlow

READ = {
    "gradient": Descent(),
    " gradient ": Descent(),
    "gradient:mirror:entropy": Descent(mirror(ENTROPY)),
    "mirror:entropy": Descent(mirror(ENTROPY)),
    "mirror:entropy:W2,b1": Descent(mirror(ENTROPY, ("W2", "b1"))),
    "mirror:burg": Descent(mirror(Power(2))),
    "mirror:hypentropy": Descent(mirror(Hypentropy())),
    "mirror:hypentropy=1/2:W1": Descent(Geometry(others=(("W1", Hypentropy(Fraction(1, 2))),))),
    "mirror:pnorm=3": Descent(mirror(Power(-1, Fraction(1, 2)))),
    "mirror:pnorm=2": Descent(),
    "mirror:hessian=1/(1 + x):W1": Descent(mirror(Hessian("1/(1 + x)"), ("W1",))),
    "rates:W1=1/10,W2=2": Descent(rates({"W1": Fraction(1, 10), "W2": Fraction(2)})),
    "momentum": HeavyBall(Fraction(1)),
    "momentum:tau=0": HeavyBall(Fraction(0)),
    "momentum:tau=0.5": HeavyBall(Fraction(1, 2)),
    "momentum:mirror:entropy": HeavyBall(Fraction(1), mirror(ENTROPY)),
    "momentum:tau=2:rates:W1=3": HeavyBall(Fraction(2), rates({"W1": Fraction(3)})),
    "decay": WeightDecay(Fraction(1)),
    "decay:lambda=1/100": WeightDecay(Fraction(1, 100)),
    "decay:lambda=2/t": WeightDecay(Fraction(2), fading=True),
    "decay:lambda=2:rates:W1=3": WeightDecay(Fraction(2), metric=rates({"W1": Fraction(3)})),
    "decay:lambda=any": WeightDecay(None),
    "momentum:tau=any": HeavyBall(None),
    "momentum:tau=any:rates:W1=3": HeavyBall(None, rates({"W1": Fraction(3)})),
    "natural": Natural(),
    "natural:blocks": Natural(blocks=True),
    "sign": SignFlow,
    "nesterov": Nesterov(3),
    "nesterov:k=2:mirror:burg": Nesterov(2, mirror(Power(2))),
}


@pytest.mark.parametrize("text", READ)
def test_what_is_read(text):
    assert read_flow(text) == READ[text]


@pytest.mark.parametrize("text", FLOWS.split(", "))
def test_every_example_of_the_message_is_read(text):
    assert callable(read_flow(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unknown flow '': expected one such as gradient"),
        ("adam", "unknown flow 'adam'"),
        ("mirror", "cannot read 'mirror' in the flow 'mirror': expected mirror:MAP"),
        ("mirror:entropy:a:b", "cannot read 'mirror:entropy:a:b'"),
        ("mirror:cosh", "unknown mirror map 'cosh' in 'mirror:cosh': expected entropy, burg"),
        ("mirror:entropy=2", "unknown mirror map 'entropy=2'"),
        ("mirror:pnorm=3/2", "pnorm=3/2 in 'mirror:pnorm=3/2': expected a whole number p >= 2"),
        ("mirror:hessian=exp(x)", "exp(...) in 'exp(x)' is not rational"),
        ("mirror:hessian=y", "'y' in 'y' is not declared: expected one of x"),
        ("mirror:hessian=0", "the Hessian 0 has no inverse"),
        ("mirror:pnorm", "unknown mirror map 'pnorm'"),
        ("mirror:hypentropy=0", "hypentropy needs beta > 0"),
        ("rates:W1", "cannot read the rates in 'rates:W1': expected NAME=RATE"),
        ("rates:W1=x", "'x' in 'rates:W1=x' is not a number"),
        ("rates:W1=0", "learning rate 0 is not positive"),
        ("momentum:tau=1/0", "'1/0' in 'momentum:tau=1/0' is not a number"),
        ("momentum:tau=1e999999999", "is not a number"),
        ("momentum:nu=1", "cannot read 'nu=1'"),
        ("nesterov:k=1/2", "damping 1/2/t in 'nesterov:k=1/2': expected a whole number"),
        ("nesterov:tau=1", "cannot read 'tau=1'"),
        ("decay:tau=1", "cannot read 'tau=1'"),
        ("decay:lambda=x/t", "'x' in 'decay:lambda=x/t' is not a number"),
        ("sign:mirror:entropy", "unknown flow 'sign:mirror:entropy'"),
        ("natural:layers", "unknown flow 'natural:layers'"),
    ],
)
def test_what_is_not_understood_gets_a_sentence(text, words):
    with pytest.raises(InputError) as caught:
        read_flow(text)
    assert words in str(caught.value)
