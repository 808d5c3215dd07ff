"""Inputs of another scale than the private records are found by a statistic that no single record decides."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from privkd.data.ranges import differs, require_range, typical_size, warn_of_other_range
from privkd.errors import InputRangeWarning

UNIT = torch.rand(200, 5, generator=torch.Generator().manual_seed(0))


def warned(private, queries, low=0.0, high=1.0) -> list[str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_other_range(None if private is None else typical_size(private), queries, low=low, high=high)
    assert all(issubclass(one.category, InputRangeWarning) for one in said)
    return [str(one.message) for one in said]


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-9, 9, width=32)))
def test_the_size_is_the_median_of_the_rows_largest_values(rows):
    slow = np.median([max(abs(float(value)) for value in row) for row in rows])
    assert typical_size(rows) == pytest.approx(slow, rel=1e-6)
    assert typical_size(torch.tensor(rows)[:, :, None]) == typical_size(rows)


@pytest.mark.parametrize("factor", [255.0, 16.0, 1 / 255])
def test_another_scale_is_warned_about_both_ways(factor):
    assert len(warned(UNIT, UNIT * factor)) == 1
    assert len(warned(UNIT * factor, UNIT)) == 1
    assert len(warned(UNIT * factor, None)) == 1


@pytest.mark.parametrize("others", [UNIT * 3, UNIT - 0.5, torch.randn(200, 5), UNIT / 5, torch.zeros(3, 5)])
def test_scales_that_may_be_one_are_left_alone(others):
    assert warned(UNIT, others) == []
    assert warned(UNIT, None) == []
    assert warned(None, UNIT * 255) == []


def test_one_record_of_another_scale_does_not_decide():
    outlier = UNIT.clone()
    outlier[7] *= 1e6
    assert warned(outlier, UNIT) == []
    assert warned(outlier, UNIT * 255) == warned(UNIT, UNIT * 255) != []


def test_the_warning_tells_nothing_of_the_private_rows_but_that_they_differ():
    [said] = warned(UNIT * 731, UNIT)
    [other] = warned(UNIT * 997, UNIT)
    assert said == other


def test_public_inputs_outside_a_declared_range_are_refused_in_words():
    require_range(UNIT, low=0.0, high=1.0)
    require_range(torch.randn(200, 5), low=0.0, high=1.0)
    for wrong, low, high in ((UNIT * 255, 0, 1), (UNIT, 0, 255), (-UNIT * 255, -1, 0)):
        with pytest.raises(ValueError, match=r"queries have values in \[.*declared range is \[.*InputSpec"):
            require_range(wrong, low=low, high=high)


def test_no_size_is_compared_with_that_of_empty_rows():
    assert not differs(0.0, 255.0)
    assert differs(8.0, 1.0)
    assert not differs(7.9, 1.0)
