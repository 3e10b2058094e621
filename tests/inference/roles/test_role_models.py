"""Which model serves a role follows from the settings and from what is ready."""

from __future__ import annotations

import pytest

from orchestrator.domain.model_roles import AUTO, ROLE_MODELS, SMALL, Role, setting_name
from orchestrator.errors import FailedPrecondition, ModelUnavailable
from orchestrator.inference.roles.role_models import GOLDEN_INPUTS, OUTPUTS, check_choices, role_versions
from orchestrator.settings import Settings


def version_of(*ready: str) -> object:
    def version(model: str) -> str:
        if model not in ready:
            raise ModelUnavailable(f"{model} is not ready")
        return "4"

    return version


@pytest.mark.parametrize(
    ("choice", "ready", "expected"),
    [
        (AUTO, ("birefnet",), {"birefnet": "4"}),
        (AUTO, (), {}),
        (SMALL, ("birefnet",), {}),
        ("birefnet", ("birefnet",), {"birefnet": "4"}),
    ],
)
def test_the_model_of_a_role_is_used_if_it_is_ready_and_allowed(
    choice: str, ready: tuple[str, ...], expected: dict[str, str]
) -> None:
    assert role_versions({Role.FOREGROUND: choice}, version_of(*ready)) == expected


def test_a_required_model_that_is_not_ready_is_an_error_with_the_remedy() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        role_versions({Role.GEOMETRY: "moge2"}, version_of("birefnet"))
    assert caught.value.retryable
    assert "geometry_model: 'moge2' is required, but it is not ready on Triton" in caught.value.message
    assert "run `heartwood models pull moge2` and restart the service" in caught.value.message
    assert "HEARTWOOD_GEOMETRY_MODEL=auto" in caught.value.message


def test_a_required_model_that_is_not_in_the_repository_stops_the_start() -> None:
    choices = {Role.FOREGROUND: AUTO, Role.PROMPT: "sam2", Role.GEOMETRY: SMALL}
    check_choices(choices, lambda model: model == "sam2")
    with pytest.raises(FailedPrecondition, match=r"prompt_model: 'sam2' is required, but it is not in the model repo"):
        check_choices(choices, lambda _: False)


def test_every_role_has_a_setting_a_model_and_golden_inputs() -> None:
    for role in Role:
        assert getattr(Settings(), setting_name(role)) == AUTO
        assert ROLE_MODELS[role] in OUTPUTS
        assert ROLE_MODELS[role] in GOLDEN_INPUTS
        assert getattr(Settings(**{setting_name(role): ROLE_MODELS[role]}), setting_name(role)) == ROLE_MODELS[role]
        with pytest.raises(ValueError, match="Input should be 'auto', 'small' or"):
            Settings(**{setting_name(role): "another"})
