"""The expression language reads what events print, and nothing else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Gaussian, PureDP, RandomizedResponse, UnsupportedEvent, from_dict, parse

numbers = st.floats(0.0, 1e9)
leaf_texts = st.one_of(
    st.builds("gaussian({!r})".format, numbers),
    st.builds("GNMax(sigma={!r})".format, numbers),
    st.builds("krr(k={}, eps0={!r})".format, st.integers(2, 99), numbers),
    st.builds("rr_topk({}, {!r})".format, st.integers(1, 99), numbers),
    st.builds("approx_dp({!r}, delta={!r})".format, numbers, st.floats(0, 0.99)),
    st.builds("exponential({!r}, kind='pure')".format, numbers),
    st.builds("rdp(orders=(1.5, {!r}), values=({!r}, 2))".format, st.floats(2, 9), numbers),
)
texts = st.recursive(
    leaf_texts,
    lambda inner: st.one_of(
        st.builds("({}).poisson({!r})".format, inner, st.floats(0, 1)),
        st.builds("({}) * {}".format, inner, st.integers(0, 1000)),
        st.builds("{} + {}".format, inner, inner),
        st.builds("composed({})".format, inner),
        st.builds("parallel({}, {})".format, inner, inner),
        st.builds("({}).fixed_size({}, n=9)".format, inner, st.integers(0, 9)),
        st.builds("({}).shuffled({}, 9, epochs={})".format, inner, st.integers(1, 9), st.integers(0, 3)),
        st.builds("({}).random_allocation(9, {})".format, inner, st.integers(0, 9)),
    ),
    max_leaves=5,
)


@given(text=texts)
def test_printing_and_reading_are_inverse(text):
    event = parse(text)
    assert parse(str(event)) == event
    assert from_dict(event.to_dict()) == event


def test_the_documented_example_prints_as_it_was_written():
    text = "gaussian(1.1).poisson(0.01) * 10000 + krr(k=10, eps0=1) * 5"
    assert parse(text) == Gaussian(1.1).poisson(q=0.01) * 10_000 + RandomizedResponse(k=10, eps0=1) * 5
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "Gaussian(sigma=1.1)",
        "gaussian(sigma=1.1)",
        "  gaussian( 1.1 )\n",
        "1 * gaussian(1.1) * 1",
        "repeat(1, gaussian(1.1))",
    ],
)
def test_spellings_of_one_event(text):
    assert parse(text) in (Gaussian(1.1), Gaussian(1.1) * 1)


def test_unknown_names_get_the_closest_name():
    with pytest.raises(ValueError, match="did you mean 'gaussian'"):
        parse("gausian(1)")


@pytest.mark.parametrize(
    "text",
    [
        "", "gaussian", "gaussian(", "gaussian(1) gaussian(2)", "gaussian(1) - gaussian(2)",
        "gaussian(1) ** 2",
        "gaussian(1) / 2", "gaussian(1) * 2.0", "gaussian(1) * gaussian(2)", "gaussian(1) * -1", "2", "2 * 3",
        "gaussian(1 + 1)", "gaussian('1')", "gaussian(True)", "gaussian(1j)", "gaussian(None)",
        "gaussian([1])",
        "gaussian(sigma=1, sigma=2)", "gaussian(**{})", "gaussian(*[1])", "gaussian(nan)", "gaussian(1e999)",
        "__import__('os').system('true')", "gaussian.__class__(1)", "gaussian(1).to_dict()", "(lambda: 1)()",
        "[gaussian(1)]", "gaussian(1) if 1 else gaussian(2)", "gaussian(1); gaussian(2)", "\0",
        "gaussian(x := 1)", "gaussian((1, 2))", "rdp(2, 0.1)", "rdp((2, 3), (0.1,))", "rdp((2, 'x'), (1, 1))",
        "exponential(1, kind=pure)", "exponential(1, 'other')", "exponential('1')", "gaussian(1).shuffled()",
        "gaussian(1).fixed_size(3, 2)", "gaussian(1).to_dict", "parallel(1)", "parallel((gaussian(1), 2))",
        "gnmax(1, votes=(True, 2))", "composed(gaussian(1), (2,))",
    ],
)  # fmt: skip
def test_everything_else_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        parse(text)


def test_wrong_arguments_are_reported_by_the_signature():
    with pytest.raises(TypeError, match="noise"):
        parse("gaussian(noise=1)")
    with pytest.raises(ValueError, match="sigma=-1"):
        parse("gaussian(-1)")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "gaussian(1)" + ")" * 5000,
        "gaussian(1)" + ".poisson(0.5)" * 5000,
        "gaussian(" + "9" * 50_000 + ")",
        "gaussian(1)" * 100_000,
        "-" * 50_000 + "1",
        "gaussian(" * 5000,
        "gaussian(1, '" + "x" * 50_000 + "')",
    ],
    ids=["brackets", "chain", "digits", "long", "signs", "calls", "word"],
)
def test_bombs_are_refused_quickly(text):
    start = time.process_time()
    with pytest.raises(ValueError, match=r"gaussian|expression"):
        parse(text)
    assert time.process_time() - start < 2.0


def test_long_sums_are_fine():
    text = " + ".join(["pure_dp(1)"] * 500)
    assert parse(text).events == (PureDP(1),) * 500


def test_unknown_json_is_not_an_expression_matter():
    with pytest.raises(UnsupportedEvent):
        from_dict({"type": "gauss", "sigma": 1.0})
