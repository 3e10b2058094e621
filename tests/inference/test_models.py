"""Which version of a model is used: the pinned one, the promoted one, or the newest in the repository."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.domain.model_versions import MODELS
from orchestrator.errors import ModelUnavailable
from orchestrator.inference.models import ServingVersions, TritonModels
from tests.support.candidates import newest_version

MODEL = "segmentation"


@pytest.fixture
def models(triton_url: str) -> Iterator[TritonModels]:
    opened = TritonModels(triton_url)
    yield opened
    opened.close()


def deployed(*versions: str) -> dict[tuple[str, str], str]:
    return {(MODEL, version): f"{MODEL}@{version}-0000" for version in versions}


def test_newest_repository_version_serves_until_a_promotion(models: TritonModels) -> None:
    assert models.versions() == {model: str(newest_version(model)) for model in MODELS}
    assert models.ready()
    models.serving = ServingVersions({MODEL: "93"}, deployed("92", "93"))
    assert models.versions()[MODEL] == "93"
    assert not models.ready()  # no model of that name is loaded


def test_pinned_version_is_used_until_it_is_retired(models: TritonModels) -> None:
    models.serving = ServingVersions({MODEL: "93"}, deployed("92", "93"))
    assert models.versions({MODEL: "92"})[MODEL] == "92"
    assert models.versions({MODEL: "1"})[MODEL] == "1"
    models.serving = ServingVersions({MODEL: "93"}, deployed("93"))
    assert models.versions({MODEL: "92"})[MODEL] == "93"


def test_missing_promoted_version_raises_and_is_not_replaced(models: TritonModels) -> None:
    models.serving = ServingVersions({MODEL: "97"})
    with pytest.raises(ModelUnavailable, match="serving version of model 'segmentation'"):
        models.versions()
