"""The operator changes the quotas of tenants, and tenants see them."""

from __future__ import annotations

import pytest

from tests.support.cli import Cli
from tests.support.running_service import RunningService


def test_quotas_are_set_shown_listed_and_returned_to_the_setting(cli: Cli) -> None:
    cli("token", "create", "plain")
    shown = cli("tenant", "set", "shop", "--weight", "2", "--running-jobs", "4", "--detector-usd", "12.5").output
    assert "weight 2 set" in shown
    assert "running_jobs 0 4 set" in shown
    assert "detector_usd 0.00 12.5 set" in shown
    assert "active_jobs 0 1000 default" in shown
    listed = cli("tenant", "list").output
    assert "plain 1 0 of 1000 0 of 1000 0 of 1000 0.00 of 100" in listed
    assert "shop 2 0 of 4 0 of 1000 0 of 1000 0.00 of 12.5" in listed
    cli("tenant", "set", "shop", "--weight", "default")
    shown = cli("tenant", "show", "shop").output
    assert "weight 1 default" in shown
    assert "running_jobs 0 4 set" in shown


def test_the_settings_are_the_defaults(cli: Cli) -> None:
    shown = cli("tenant", "show", "shop", HEARTWOOD_MAX_RUNNING_JOBS="3", HEARTWOOD_MAX_DETECTOR_USD="7").output
    assert "running_jobs 0 3 default" in shown
    assert "detector_usd 0.00 7 default" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop",), "no quota is given"),
        (("shop", "--weight", "0"), "--weight: 0 is not allowed"),
        (("shop", "--uploads", "1.5"), "--uploads: 1.5 is not allowed; it must be a whole number"),
        (("shop", "--stored-gb", "-1"), "--stored-gb: -1 is not allowed"),
        (("shop", "--stored-gb", "nan"), "--stored-gb: nan is not allowed"),
        (("shop", "--active-jobs", "inf"), "--active-jobs: inf is not allowed"),
        (("shop", "--requests-per-s", "many"), "'many' is not a number; write one, or 'default'"),
        (("../x", "--weight", "2"), "'../x' is not allowed"),
    ],
)
def test_invalid_quotas_are_refused(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    result = cli("tenant", "set", *arguments)
    assert result.exit_code == 2
    assert message in result.errors


def test_a_tenant_sees_its_usage(service: RunningService, cli: Cli) -> None:
    data = {"HEARTWOOD_DATA_DIR": str(service.data_dir)}
    cli("tenant", "set", "viewer", "--weight", "3", **data)
    shown = cli("usage", "--server", service.address, "--token", service.token("viewer")).output
    assert "tenant viewer used quota" in shown
    assert "weight 3" in shown
    assert "stored_gb 0 1000" in shown
