"""The settings of Heartwood. A command reads them once and passes them on."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PACKAGE = Path(__file__).resolve().parent
DEMO_PHOTOS = PACKAGE / "demo_photos"
BUNDLED = PACKAGE / "bundled"
"""The models, Triton backends and profiles of an installed wheel. Absent from a checkout."""
RESOURCES = BUNDLED if BUNDLED.is_dir() else PACKAGE.parent
TRITON_CONFIG = RESOURCES / "triton_config"


CONTROL_HEADER = re.compile(r"[a-z0-9-]+=[!-~]+", re.IGNORECASE)
"""The characters that gRPC allows in the key and the value of metadata."""
CONFIG_VARIABLE = "HEARTWOOD_CONFIG"
"""Environment variable with the path of the settings file."""


def settings_file() -> Path | None:
    """Return the settings file: that of CONFIG_VARIABLE, or ``heartwood/heartwood.toml`` in the user's settings folder.

    It is None if CONFIG_VARIABLE is not set and the file in the settings folder does not exist. A file in the working
    folder is never read, because somebody else may have put it there. Raises ValueError if the named file is missing.
    """
    if named := os.environ.get(CONFIG_VARIABLE):
        if not Path(named).is_file():
            raise ValueError(f"the settings file {named} of {CONFIG_VARIABLE} does not exist")
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    file = Path(folder) / "heartwood" / "heartwood.toml"
    return file if file.is_file() else None


class Settings(BaseSettings):
    """Every setting with its default and its meaning.

    The order of precedence is: a keyword argument, the environment variable ``HEARTWOOD_<NAME>``, the
    ``settings_file``. Raises ``ValueError`` if a setting is unknown or has an invalid value.
    """

    model_config = SettingsConfigDict(
        env_prefix="HEARTWOOD_",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # a value may be a secret
    )

    data_dir: Path = Field(Path("~/.local/share/heartwood"), description="folder of files, records, logs and tokens")
    model_repository: Path = Field(RESOURCES / "model_repository", description="model repository that Triton serves")
    triton_backends: Path = Field(TRITON_CONFIG / "backends", description="folder of the Python-based Triton backends")
    triton_profiles: Path = Field(TRITON_CONFIG / "profiles", description="folder of the Triton profiles")
    triton_profile: str = Field("auto", description="cpu, gpu or tensorrt; auto: set by hardware; none: no profile")

    listen: str = Field("127.0.0.1:8500", description="host:port of the gRPC service; port 0 chooses a free port")
    tls_certificate: Path | None = Field(None, description="PEM certificate chain; required to listen beyond loopback")
    tls_key: Path | None = Field(None, description="PEM private key of tls_certificate")
    tls_client_ca: Path | None = Field(None, description="PEM certificates of the authority that clients must present")
    allow_plaintext: bool = Field(False, description="listen beyond loopback without TLS, such as behind a proxy")
    max_concurrent_rpcs: int = Field(256, ge=1, description="maximum concurrent calls of all tenants")
    max_tenant_rpcs: int = Field(64, ge=1, description="maximum concurrent calls of one tenant")
    max_peer_streams: int = Field(16, ge=1, description="maximum health and reflection streams of one address")
    upload_idle_s: float = Field(60.0, gt=0, description="maximum time between two messages of an upload")
    max_connection_s: float = Field(3600.0, ge=1, description="age at which clients must connect again")
    reflection: bool = Field(True, description="describe the API to unauthenticated callers, such as grpcurl")
    drain_s: float = Field(20.0, ge=0, description="time that calls and jobs have to finish after SIGTERM")

    triton_url: str = Field("", description="gRPC host:port of a running Triton; empty starts the pip package's Triton")
    triton_tls: bool = Field(False, description="use TLS for triton_url")
    triton_ca: Path | None = Field(None, description="PEM certificates to verify triton_url with; default: system's")
    triton_timeout_s: float = Field(120.0, gt=0, description="timeout of one inference")
    triton_control_header: SecretStr = Field(
        SecretStr(""), description="KEY=VALUE of the option --grpc-restricted-protocol of triton_url; empty: none"
    )
    candidate_triton_url: str = Field(
        "", description="gRPC host:port of a Triton that checks candidates; empty starts the pip package's Triton"
    )
    candidate_memory_gb: int = Field(8, ge=1, description="maximum memory of the Triton that checks a candidate")
    candidate_timeout_s: float = Field(120.0, gt=0, description="time to load a candidate, and for each inference")

    pulled_models: Path | None = Field(None, description="folder of `heartwood models pull`; default: data_dir/models")
    foreground_model: Literal["auto", "small", "birefnet"] = Field("auto", description="outline of the piece")
    prompt_model: Literal["auto", "small", "sam2"] = Field("auto", description="masks for boxes and points, regions")
    geometry_model: Literal["auto", "small", "moge2"] = Field("auto", description="normals and depth")
    open_vocabulary_model: Literal["auto", "small", "owlv2"] = Field("auto", description="boxes of named parts")

    max_model_mb: int = Field(512, ge=1, le=1900, description="maximum file size of a model version")

    # The URLs and options may contain passwords, so ``repr`` omits them.
    database_url: str = Field("", repr=False, description="SQLAlchemy URL of the records; empty: SQLite in data_dir")
    dbos_database_url: str = Field(
        "", repr=False, description="database URL of the durable jobs; empty: database_url, or SQLite in data_dir"
    )
    blob_url: str = Field("", description="file:///…, s3://bucket/prefix, gs://… or az://…; empty: data_dir/blobs")
    blob_options: dict[str, str] = Field(
        {}, repr=False, description="options of the object store, by their names in obstore"
    )

    workers: int = Field(2, ge=1, description="jobs that run concurrently in this process")
    job_timeout_s: float = Field(7200.0, gt=0, description="time limit of a job without a deadline")
    # The defaults of the quotas of a tenant; `heartwood tenant set` changes those of one tenant.
    max_running_jobs: int = Field(1000, ge=1, description="maximum running jobs of one tenant")
    max_active_jobs: int = Field(1000, ge=1, description="maximum queued and running jobs of one tenant")
    max_stored_gb: float = Field(1000.0, ge=0, description="maximum size of the files of one tenant, in 10^9 bytes")
    max_uploads: int = Field(16, ge=1, description="maximum concurrent uploads of one tenant")
    max_requests_per_s: float = Field(100.0, gt=0, description="maximum calls of one tenant per second")
    max_detector_usd: float = Field(100.0, ge=0, description="budget of one tenant per month for the openai detector")
    max_photos: int = Field(200, ge=1, description="maximum photos in one upload")

    # Days for which files and records are kept; 0: for ever. `heartwood tenant retention` changes those of one tenant.
    keep_uploads_days: float = Field(0.0, ge=0, description="days after which uploads are deleted")
    keep_results_days: float = Field(0.0, ge=0, description="days after which the files that jobs made are deleted")
    keep_cache_days: float = Field(0.0, ge=0, description="days after which cached results of steps are deleted")
    keep_jobs_days: float = Field(0.0, ge=0, description="days after its end when a job and its results are deleted")
    keep_webhooks_days: float = Field(0.0, ge=0, description="days after which webhook deliveries are deleted")
    blob_grace_s: float = Field(3600.0, ge=0, description="time for which files that nothing uses are kept")
    min_free_disk_mb: int = Field(1024, ge=0, description="free disk space below which nothing more is stored")

    decode_processes: int = Field(4, ge=1, description="photos that are decoded concurrently in this process")
    decode_memory_mb: int = Field(3072, ge=256, description="maximum memory to decode a photo or parse a 3D model")
    decode_cpu_s: int = Field(30, ge=1, description="maximum CPU time to decode a photo or parse a 3D model")
    decode_megapixels: int = Field(125, ge=1, description="maximum megapixels of the photos that are decoded at a time")
    max_waiting_uploads: int = Field(128, ge=2, description="maximum uploads that wait for their check")
    upload_spool_mb: int = Field(4096, ge=1, description="disk space for uploads that are received, of all tenants")

    render_processes: int = Field(1, ge=1, description="Blender processes of a turntable; they share the cores")
    sandbox: Literal["require", "prefer", "off"] = Field("prefer", description="barriers around external programs")
    tool_memory_gb: int = Field(12, ge=1, description="maximum resident memory of an external program")
    tool_disk_gb: int = Field(32, ge=1, description="maximum disk space of the files of an external program")
    blender: str = Field("", description="path of a blender executable; empty uses the bpy wheel")
    ffmpeg: str = Field("", description="path of an ffmpeg executable; empty uses the one in imageio-ffmpeg")
    meshroom: str = Field("", description="path of a meshroom_batch executable; empty searches PATH")
    trellis_url: str = Field("", description="URL of an image-to-3D server with the TRELLIS NIM API; empty: none")
    trellis_api_key: SecretStr = Field(SecretStr(""), description="bearer token for trellis_url")
    trellis_timeout_s: float = Field(600.0, gt=0, description="timeout of one request, including loading the model")

    openai_base_url: str = Field("https://api.openai.com/v1", description="URL of an OpenAI-compatible API")
    openai_api_key: SecretStr = Field(SecretStr(""), description="API key; empty disables the openai detector")
    openai_model: str = Field("gpt-4.1-mini", description="a vision model with structured output")
    openai_timeout_s: float = Field(60.0, gt=0, description="timeout of one request")
    openai_max_retries: int = Field(3, ge=0, description="retries of one request")
    openai_usd_per_million_input: float = Field(0.40, ge=0, description="price in USD, to record the cost of a job")
    openai_usd_per_million_output: float = Field(1.60, ge=0, description="price in USD, to record the cost of a job")

    webhook_allow: tuple[str, ...] = Field((), description="private hosts and networks that may receive webhooks")
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="minimum level of the log")

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            given, missing = ("tls_certificate", "tls_key") if self.tls_certificate else ("tls_key", "tls_certificate")
            raise ValueError(f"{given} is set without {missing}; TLS needs both")
        if self.tls_client_ca and not self.tls_certificate:
            raise ValueError(
                "tls_client_ca is set without tls_certificate; clients can prove who they are only over TLS"
            )
        if (self.triton_tls or self.triton_ca) and not self.triton_url:
            raise ValueError("triton_tls and triton_ca need triton_url; the service's own Triton listens on loopback")
        for name in ("tls_certificate", "tls_key", "tls_client_ca", "triton_ca"):
            file = getattr(self, name)
            if file is not None and not file.is_file():
                raise ValueError(f"{name}: the file {file} does not exist")
        return self

    @model_validator(mode="after")
    def _check_control_header(self) -> Self:
        header = self.triton_control_header.get_secret_value()
        if header and not (self.triton_url or self.candidate_triton_url):
            raise ValueError("triton_control_header needs triton_url; the service's own Triton has a random header")
        if header and not CONTROL_HEADER.fullmatch(header):
            raise ValueError("triton_control_header must be KEY=VALUE, in printable ASCII without spaces")
        return self

    @property
    def root(self) -> Path:
        """The absolute path of ``data_dir``."""
        return self.data_dir.expanduser().resolve()

    @property
    def records_database_url(self) -> str:
        """The database of the records."""
        return self.database_url or f"sqlite:///{self.root / 'heartwood.sqlite'}"

    @property
    def jobs_database_url(self) -> str:
        """The database of the durable jobs, which all processes that share the records must share too."""
        return self.dbos_database_url or self.database_url or f"sqlite:///{self.root / 'jobs.sqlite'}"

    @property
    def pulled_repository(self) -> Path:
        """The model repository of the models that ``heartwood models pull`` writes. It may not exist."""
        return self.pulled_models.expanduser().resolve() if self.pulled_models else self.root / "models"

    @property
    def local_token_file(self) -> Path:
        """The token of the tenant ``local``, for the commands on this machine."""
        return self.root / "local_token"

    @property
    def service_file(self) -> Path:
        """JSON: address and process id of the running service. Absent while none runs."""
        return self.root / "service.json"

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, env_settings: Any, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        try:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())
        except RecursionError:
            raise ValueError("the settings file has lists or tables that are nested too deeply") from None
        except UnicodeDecodeError as error:  # its ``repr`` contains the whole file
            raise ValueError(f"the settings file is not UTF-8: {error.reason} at byte {error.start}") from None
