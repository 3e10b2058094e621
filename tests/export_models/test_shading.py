"""The shading of version 2: surfaces of the same appearance share their albedo, and edges survive the upsampling."""

from __future__ import annotations

import torch
from torch import Tensor

from export_models.networks.furniture import HEADS
from export_models.networks.shading import INPUT_HEADS, SharedAlbedo, mean_of_similar, upsample_log_shading

SIDE = 32


def two_halves(left: float, right: float) -> Tensor:
    """Return [1, 1, SIDE, SIDE] with one value in the left half and another in the right half."""
    values = torch.full((1, 1, SIDE, SIDE), left)
    values[..., SIDE // 2 :] = right
    return values


def test_values_are_averaged_within_similar_positions_only() -> None:
    noise = torch.rand((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    values = torch.cat([two_halves(1.0, 5.0)] * 3, dim=1) + noise
    features = torch.cat([two_halves(0.0, 20.0)] * 2, dim=1)
    means = mean_of_similar(features, values, torch.zeros(1, 1, SIDE, SIDE))
    for half in (slice(0, SIDE // 2), slice(SIDE // 2, SIDE)):
        expected = values[..., half].mean((2, 3), keepdim=True)
        assert torch.allclose(means[..., half], expected.expand_as(means[..., half]), atol=1e-4)


def test_positions_with_a_low_weight_do_not_contribute() -> None:
    values = torch.cat([two_halves(1.0, 5.0)] * 3, dim=1)
    means = mean_of_similar(torch.zeros(1, 2, SIDE, SIDE), values, log_weight=two_halves(0.0, -30.0))
    assert torch.allclose(means, torch.ones_like(means), atol=1e-4)


def test_variation_within_one_color_is_shading() -> None:
    true_log_shading = torch.linspace(-0.7, 0.7, SIDE).expand(1, 1, SIDE, SIDE)  # four times as bright on the right
    stripes = two_halves(0.0, 0.0)
    stripes[:, :, (torch.arange(SIDE) // 8) % 2 == 1] = 1.0
    red, blue = torch.tensor([0.5, 0.1, 0.05]), torch.tensor([0.1, 0.15, 0.4])
    albedo = red.view(1, 3, 1, 1) * (1 - stripes) + blue.view(1, 3, 1, 1) * stripes
    predictions = {name: torch.zeros(1, HEADS[name], SIDE, SIDE) for name in INPUT_HEADS}
    predictions["likeness"][:, -1] = 20.0  # replace the albedo entirely by the shared one
    log_shading = SharedAlbedo()(albedo * true_log_shading.exp(), predictions)
    # In the stripes of each colour, the shading rises like the true shading. The rise is smaller for two reasons:
    # LOG_OFFSET reduces it in dark channels, and some of it goes to the albedo because brightness is one of the
    # features of the first iteration.
    for rows in (slice(0, 8), slice(8, 16)):
        rise = (log_shading[:, :, rows, -4:].mean() - log_shading[:, :, rows, :4].mean()).item()
        true_rise = (true_log_shading[..., -4:].mean() - true_log_shading[..., :4].mean()).item()
        assert 0.7 * true_rise < rise < 1.05 * true_rise


def test_upsampling_keeps_an_edge_between_colors_of_the_same_brightness() -> None:
    red, green = torch.tensor([0.40, 0.20, 0.10]).log(), torch.tensor([0.20, 0.40, 0.10]).log()
    is_green = torch.full((1, 1, 2 * SIDE, 2 * SIDE), 0.0)
    is_green[..., SIDE:] = 1.0
    linear = (red.view(1, 3, 1, 1) * (1 - is_green) + green.view(1, 3, 1, 1) * is_green).exp()
    log_shading = torch.cat([two_halves(0.0, 1.0)] * 3, dim=1)
    upsampled = upsample_log_shading(log_shading, torch.nn.functional.avg_pool2d(linear, 2), linear)
    assert upsampled[..., : SIDE - 1].abs().max() < 0.05
    assert (upsampled[..., SIDE + 1 :] - 1).abs().max() < 0.05
