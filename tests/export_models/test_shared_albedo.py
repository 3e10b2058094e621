"""Light is told from colour by what looks alike: places of one look share their albedo."""

from __future__ import annotations

import torch
from torch import Tensor

from export_models.networks.furniture import HEADS, LIGHT_NEEDS, SharedAlbedo, log_light, shared

SIDE = 32


def halves(left: float, right: float) -> Tensor:
    """[1, 1, SIDE, SIDE], one value on the left and one on the right."""
    values = torch.full((1, 1, SIDE, SIDE), left)
    values[..., SIDE // 2 :] = right
    return values


def test_places_that_look_alike_share_what_they_show_and_others_do_not() -> None:
    noise = torch.rand((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    values = torch.cat([halves(1.0, 5.0)] * 3, dim=1) + noise
    alike = shared(torch.cat([halves(0.0, 20.0)] * 2, dim=1), values, torch.zeros(1, 1, SIDE, SIDE))
    for half in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
        expected = values[..., half].mean((2, 3), keepdim=True)
        assert torch.allclose(alike[..., half], expected.expand_as(alike[..., half]), atol=1e-4)


def test_a_place_that_is_not_trusted_tells_others_nothing() -> None:
    values = torch.cat([halves(1.0, 5.0)] * 3, dim=1)
    alike = shared(torch.zeros(1, 2, SIDE, SIDE), values, halves(0.0, -30.0))
    assert torch.allclose(alike, torch.ones_like(alike), atol=1e-4)


def test_what_varies_over_one_colour_is_light() -> None:
    across = torch.linspace(-0.7, 0.7, SIDE).expand(1, 1, SIDE, SIDE)  # four times as light on the right
    stripes = halves(0.0, 0.0)
    stripes[:, :, (torch.arange(SIDE) // 8) % 2 == 1] = 1.0
    red, blue = torch.tensor([0.5, 0.1, 0.05]), torch.tensor([0.1, 0.15, 0.4])
    albedo = red.view(1, 3, 1, 1) * (1 - stripes) + blue.view(1, 3, 1, 1) * stripes
    found = {name: torch.zeros(1, HEADS[name], SIDE, SIDE) for name in LIGHT_NEEDS}
    found["likeness"][:, -1] = 20.0  # believed
    light = SharedAlbedo()(albedo * across.exp(), found)
    # In stripes of either colour it rises as the true light does. DARK, added before logarithms, takes some of a dark
    # channel's rise, and a share goes to the albedo, as the brightness under no light is a part of the look at first.
    for rows in (slice(0, 8), slice(8, 16)):
        rise = (light[:, :, rows, -4:].mean() - light[:, :, rows, :4].mean()).item()
        true_rise = (across[..., -4:].mean() - across[..., :4].mean()).item()
        assert 0.7 * true_rise < rise < 1.05 * true_rise


def test_light_ends_where_a_colour_of_the_same_brightness_begins() -> None:
    red, green = torch.tensor([0.40, 0.20, 0.10]).log(), torch.tensor([0.20, 0.40, 0.10]).log()
    large = torch.full((1, 1, 2 * SIDE, 2 * SIDE), 0.0)
    large[..., SIDE:] = 1.0
    linear = (red.view(1, 3, 1, 1) * (1 - large) + green.view(1, 3, 1, 1) * large).exp()
    light = torch.cat([halves(0.0, 1.0)] * 3, dim=1)
    found = log_light(linear, torch.nn.functional.avg_pool2d(linear, 2), light)
    assert found[..., : SIDE - 1].abs().max() < 0.05
    assert (found[..., SIDE + 1 :] - 1).abs().max() < 0.05
