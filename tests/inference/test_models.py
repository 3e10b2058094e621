"""Which version answers: the promoted one, the one that a job holds to, else the repository's newest."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.errors import ModelUnavailable
from orchestrator.inference.models import MODELS, Serving, TritonModels
from tests.support.candidates import newest

MODEL = "segmentation"


@pytest.fixture
def models(triton_url: str) -> Iterator[TritonModels]:
    opened = TritonModels(triton_url)
    yield opened
    opened.close()


def deployed(*versions: str) -> dict[tuple[str, str], str]:
    return {(MODEL, version): f"{MODEL}@{version}-0000" for version in versions}


def test_the_repository_s_newest_serves_until_somebody_promotes(models: TritonModels) -> None:
    assert models.versions() == {model: str(newest(model)) for model in MODELS}
    assert models.ready()
    models.follow(Serving({MODEL: "93"}, deployed("92", "93")))
    assert models.versions()[MODEL] == "93"
    assert not models.ready()  # nothing of that name is loaded


def test_a_job_keeps_its_version_until_it_is_retired(models: TritonModels) -> None:
    models.follow(Serving({MODEL: "93"}, deployed("92", "93")))
    assert models.versions({MODEL: "92"})[MODEL] == "92"
    assert models.versions({MODEL: "1"})[MODEL] == "1"
    models.follow(Serving({MODEL: "93"}, deployed("93")))
    assert models.versions({MODEL: "92"})[MODEL] == "93"


def test_a_promoted_version_that_is_gone_is_told_and_no_other_answers_for_it(models: TritonModels) -> None:
    models.follow(Serving({MODEL: "97"}))
    with pytest.raises(ModelUnavailable, match="serving version of segmentation"):
        models.versions()
