"""What every family derives from its parameters."""

from gradlaws.models.family import Family, size


class Square(Family):
    """psi = (a . a) x, the least that a family must say."""

    name = "square of a vector"
    parameters = {"a": (3,)}  # noqa: RUF012
    instance = {"x": ()}  # noqa: RUF012
    degree = 3
    monomials = 3
    assumptions = ()

    def potential(self, theta, s):
        return (theta["a"] * theta["a"]).sum() * s["x"]


def test_size_multiplies_the_axes():
    assert size({"a": (2, 3), "b": (), "c": (4,)}) == 11


def test_a_family_without_symmetries_has_none():
    assert Square().dimension == 3
    assert Square().sign_changes() == []
