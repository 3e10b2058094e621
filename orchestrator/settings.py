"""The one Settings object: read once by what a person starts, then passed in. No other module reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

CHECKOUT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Every setting, its default and its meaning. Environment: ``HEARTWOOD_<NAME>``; or ``heartwood.toml``."""

    model_config = SettingsConfigDict(env_prefix="HEARTWOOD_", toml_file="heartwood.toml", extra="forbid", frozen=True)

    data_dir: Path = Field(Path("~/.local/share/heartwood"), description="files, records, logs and tokens live here")
    model_repository: Path = Field(CHECKOUT / "model_repository", description="what Triton serves")
    triton_backends: Path = Field(CHECKOUT / "triton_config" / "backends", description="the Python-based backends")
    triton_profiles: Path = Field(CHECKOUT / "triton_config" / "profiles", description="folder of the profiles")
    triton_profile: str = Field(
        "auto", description="cpu, gpu, tensorrt; auto looks at the machine; none changes nothing"
    )

    listen: str = Field("127.0.0.1:8500", description="where the gRPC service listens; port 0 picks a free one")
    tls_certificate: Path | None = Field(None, description="PEM chain; needed to listen beyond loopback")
    tls_key: Path | None = Field(None, description="PEM key of tls_certificate")
    allow_plaintext: bool = Field(False, description="listen beyond loopback without TLS (behind a mesh or proxy)")
    max_concurrent_rpcs: int = Field(256, ge=1, description="more are answered RESOURCE_EXHAUSTED")
    drain_s: float = Field(20.0, ge=0, description="how long calls may finish after SIGTERM")

    triton_url: str = Field("", description="host:port of a running Triton's gRPC; empty starts the one from pip")
    triton_timeout_s: float = Field(120.0, gt=0, description="the longest one inference may take")

    operators: tuple[str, ...] = Field(("local",), description="tenants that may deploy and promote models")
    max_model_mb: int = Field(512, ge=1, le=1900, description="largest file of a model's version")

    database_url: str = Field("", description="SQLAlchemy URL of the records; empty is SQLite in data_dir")
    dbos_database_url: str = Field("", description="database URL of the durable jobs; empty is SQLite in data_dir")
    blob_url: str = Field("", description="file:///…, s3://bucket/prefix, gs://…, az://…; empty is data_dir/blobs")
    blob_options: dict[str, str] = Field(default_factory=dict, description="options of the object store, as obstore")

    workers: int = Field(2, ge=1, description="jobs that run at once in this process")
    executor_id: str = Field("local", description="unique and stable for each replica; it recovers its own jobs")
    job_timeout_s: float = Field(7200.0, gt=0, description="a job without a deadline may run this long")
    max_active_jobs: int = Field(1000, ge=1, description="queued and running jobs a tenant may have")
    max_photos: int = Field(200, ge=1, description="photos in one upload")

    render_processes: int = Field(1, ge=1, description="Blenders that share the frames of a turntable and the cores")
    tool_memory_gb: int = Field(12, ge=1, description="resident memory that a foreign program may take")
    blender: str = Field("", description="a blender executable; empty takes the bpy wheel")
    ffmpeg: str = Field("", description="an ffmpeg executable; empty takes the one of imageio-ffmpeg")
    meshroom: str = Field("", description="a meshroom_batch executable; empty looks for one on the path")
    trellis_url: str = Field("", description="an image-to-3D server with TRELLIS NIM's requests; empty switches it off")
    trellis_api_key: SecretStr = Field(SecretStr(""), description="sent to trellis_url as a bearer token")
    trellis_timeout_s: float = Field(600.0, gt=0, description="a server that has just started loads its model first")

    openai_base_url: str = Field("https://api.openai.com/v1", description="any OpenAI-compatible endpoint")
    openai_api_key: SecretStr = Field(SecretStr(""), description="empty switches the openai detector off")
    openai_model: str = Field("gpt-4.1-mini", description="a vision model with structured output")
    openai_timeout_s: float = Field(60.0, gt=0)
    openai_max_retries: int = Field(3, ge=0)
    openai_usd_per_million_input: float = Field(0.40, ge=0, description="price, to record what a job cost")
    openai_usd_per_million_output: float = Field(1.60, ge=0)

    webhook_secret: SecretStr = Field(SecretStr(""), description="signs webhooks (HMAC-SHA256); empty: not signed")
    log_level: str = Field("warning", pattern="^(debug|info|warning|error)$")

    @property
    def root(self) -> Path:
        """``data_dir``, absolute."""
        return self.data_dir.expanduser().resolve()

    @property
    def tokens_file(self) -> Path:
        """SHA-256 of each token and its tenant."""
        return self.root / "tokens.json"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load(**changes: Any) -> Settings:
    """Read the settings: ``changes`` first, then the environment, then ``heartwood.toml`` in the working folder."""
    return Settings(**changes)
