from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.srgb_color import SrgbColor
from orchestrator.imaging.color import (
    ciede2000,
    color_from_linear,
    decode_srgb,
    encode_srgb,
    lab_from_linear,
    linear_from_color,
    linear_from_srgb,
    srgb_from_linear,
)

BYTE = st.integers(0, 255)

# Sharma, Wu, Dalal 2005, Table 1: pairs that cover every branch of the formula.
PUBLISHED_PAIRS = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (61.0, -5.0, 29.0), 22.8977),
    ((50.0, 2.5, 0.0), (56.0, -27.0, -3.0), 31.9030),
    ((50.0, 2.5, 0.0), (58.0, 24.0, 15.0), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "published"), PUBLISHED_PAIRS)
def test_ciede2000_returns_the_published_differences_in_both_orders(first, second, published):
    assert ciede2000(first, second) == pytest.approx(published, abs=5e-5)  # published with four digits
    assert ciede2000(second, first) == pytest.approx(published, abs=5e-5)


def test_every_srgb_byte_survives_the_conversion_to_linear_and_back():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(srgb_from_linear(linear_from_srgb(image)), image)


@given(st.floats(0, 1))
def test_encode_srgb_is_the_inverse_of_decode_srgb(value):
    # The two branches of the standard differ by 1e-7 where they meet.
    assert encode_srgb(decode_srgb(value)) == pytest.approx(value, abs=1e-7)


@given(st.builds(SrgbColor, BYTE, BYTE, BYTE))
def test_a_colour_survives_the_conversion_to_linear_and_back(color):
    assert color_from_linear(linear_from_color(color)) == color


def test_white_and_black_have_the_expected_lab_values():
    # scikit-image's conversion matrix and white point differ in the fifth digit.
    assert lab_from_linear([1.0, 1.0, 1.0]) == pytest.approx([100, 0, 0], abs=5e-3)
    assert lab_from_linear([0.0, 0.0, 0.0]) == pytest.approx([0, 0, 0], abs=1e-6)


def test_linear_values_outside_the_range_are_clipped():
    assert srgb_from_linear(np.array([[-0.5, 1.5]], np.float32)).tolist() == [[0, 255]]
