"""Certificates: written only for what is proved, the same on every machine, at once or not at all."""

import json
import os
from dataclasses import replace
from fractions import Fraction

import pytest

import gradlaws as gl
from gradlaws import check
from gradlaws.errors import ContradictionError, InputError
from gradlaws.laws import certificate
from gradlaws.laws.certificate import certify, write_atomically
from gradlaws.laws.count import Status
from gradlaws.models.family import Family
from tests.certificates import PAIR, Written, verdict
from tests.samplers import SMALL_NETWORKS, spec_of


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("network", SMALL_NETWORKS, ids=spec_of)
def test_every_kind_of_network_gets_one(network, seed):
    answer = gl.laws(network, seed=seed)
    document = certify(network, answer).document
    assert verdict(document).startswith("PROVED")
    assert document["claim"] == {
        "parameters": network.dimension,
        "laws": answer.count.lower,
        "lie_dimension": answer.count.lie_dimension,
    }


@pytest.mark.parametrize("spec", ["linear 2-2-2", "relu 2-2-2 bias", "linear 2-5-2"])
def test_polynomials_of_a_degree_are_certified_too(spec):
    document = certify(spec, gl.laws(spec, degree=2)).document
    assert verdict(document).startswith("PROVED")
    assert len(document["laws"]) == gl.count(spec).lower


def test_a_small_prime_will_do():
    answer = gl.laws("relu 2-3-2", primes=[1031])
    assert certify("relu 2-3-2", answer).document["prime"] == 1031


def test_numbers_are_as_small_as_possible():
    document = certify("relu 2-3-2", gl.laws("relu 2-3-2")).document
    assert max(abs(n) for n in document["point"]) <= 3


def test_numbers_grow_where_small_ones_show_too_little(monkeypatch):
    find, tried = certificate.find_minor, []

    def blind(family, field, rank, magnitude, *rest):
        tried.append(magnitude)
        return find(family, field, rank, magnitude, *rest) if magnitude > 9 else None

    monkeypatch.setattr(certificate, "find_minor", blind)
    certify("relu 2-3-2", gl.laws("relu 2-3-2", primes=[1048573]))
    assert tried == [3, 9, 99]
    monkeypatch.setattr(certificate, "find_minor", lambda *_: None)
    with pytest.raises(InputError, match="integers up to 999 did not show the full rank; try another seed"):
        certify("relu 2-3-2", gl.laws("relu 2-3-2"))


def test_the_same_seed_gives_the_same_hash_and_another_seed_another():
    first, second = (certify("relu 2-3-2", gl.laws("relu 2-3-2")) for _ in range(2))
    assert first == second
    assert first.hash != certify("relu 2-3-2", gl.laws("relu 2-3-2", seed=1)).hash


def test_a_certificate_says_what_it_is():
    written = certify("relu 2-3-2", gl.laws("relu 2-3-2"))
    assert str(written).startswith("certificate of 3 laws in 12 parameters, sha256:")
    assert json.loads(written.text) == written.document


class Restricted(Written):
    """Its instances are not free."""

    def draw(self, theta, field, generator):
        return {name: values * 0 + 1 for name, values in Family.draw(self, theta, field, generator).items()}


class Long(Written):
    """Said to be too long to write out."""

    monomials = 10**12


def twin(kind):
    return kind(PAIR._names, PAIR._phis)


def test_families_that_cannot_be_written_are_refused_with_the_reason():
    answer = gl.laws(PAIR)
    with pytest.raises(InputError, match="its instances are restricted, and the checker takes them as free"):
        certify(twin(Restricted), answer)
    with pytest.raises(InputError, match="its potential is not at hand as polynomials"):
        certify(twin(Long), answer)


def test_answers_that_are_not_proved_are_refused_with_the_reason():
    with pytest.raises(InputError, match="the bounds 6 and 7 do not meet, and only a complete list of laws"):
        certify("linear 1-2-2-1", gl.laws("linear 1-2-2-1"))
    answer = gl.laws("relu 2-3-2")
    uncertain = replace(answer, count=replace(answer.count, status=Status.CERTAIN))
    with pytest.raises(InputError, match=r"its answer is CERTAIN\(0e\+00\), some laws were tested at random points"):
        certify("relu 2-3-2", uncertain)
    with pytest.raises(InputError, match="the answer is about 'relu 2-3-2', not 'relu 2-3-3': pass the model"):
        certify("relu 2-3-3", answer)


def test_what_is_beyond_the_checker_is_refused(monkeypatch):
    answer = gl.laws("relu 2-3-2")
    monkeypatch.setattr(check, "MAX_DEGREE", 5)
    with pytest.raises(InputError, match="no certificate of relu 2-3-2: the potential has degree 6, above 5"):
        certify("relu 2-3-2", answer)
    monkeypatch.setattr(check, "MAX_PARAMETERS", 11)
    with pytest.raises(InputError, match="it has 12 parameters, and the checker takes at most 11: certify a narrower"):
        certify("relu 2-3-2", answer)


def test_a_checker_that_disagrees_is_a_defect_and_nothing_is_written(monkeypatch):
    answer = gl.laws("relu 2-3-2", seed=17)
    monkeypatch.setattr(certificate, "_written", lambda terms, names: [["1", "W1[0,0]"]])
    with pytest.raises(ContradictionError, match=r"the certificate of relu 2-3-2, seed 17: law 0 is not conserved"):
        certify("relu 2-3-2", answer)


def test_potentials_with_fractions_are_scaled():
    half = Halved([*"uv"], [[(1, ["u", "v"])]])
    document = certify(half, gl.laws(half)).document
    assert document["model"]["potentials"] == [[["1", "u", "v"]]]
    assert verdict(document).startswith("PROVED")


class Halved(Written):
    """One half of the potential, and a constant that moves nothing."""

    name = "halves"

    def potential(self, theta, s):
        psi = super().potential(theta, s)
        return psi if not hasattr(psi, "terms") else type(psi)({m: Fraction(c, 2) for m, c in psi.terms.items()}) + 1


def test_saving_replaces_the_file(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("old")
    written = certify("relu 1-1-1", gl.laws("relu 1-1-1"))
    written.save(path)
    assert path.read_text() == written.text
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod"])
def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path, monkeypatch, broken):
    path = tmp_path / "out.json"
    path.write_text("old")

    def crash(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, broken, crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new" * 10**6)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    gl.certify("relu 1-1-1", gl.laws("relu 1-1-1")).save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "target.json").read_text())["version"] == 1


def test_what_is_no_file_is_left_alone(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    written = gl.certify("relu 1-1-1", gl.laws("relu 1-1-1"))
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none" / "out.json"):
        with pytest.raises(InputError, match="expected a file in a folder that exists"):
            written.save(path)
    assert (tmp_path / "pipe").is_fifo()


def test_a_disk_that_refuses_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device; expected a file in a folder of yours"):
        gl.certify("relu 1-1-1", gl.laws("relu 1-1-1")).save(tmp_path / "out.json")
    assert list(tmp_path.iterdir()) == []
