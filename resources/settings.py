"""Settings: one class, read from `memory.toml` and `MEMORY_…` variables (the variables win).

`MEMORY_HOME` holds everything of an embedded installation. Unknown keys are errors that name the nearest known one.
"""

import difflib
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from records.errors import SettingsError, SourceError
from records.weeks import parse_week
from records.zones import local_zone, zone

CONFIG_FILE = "memory.toml"


class PluginChoice(BaseModel):
    """Which plugin of a kind is used; every further key is passed to the plugin's own configuration."""

    model_config = ConfigDict(extra="allow")
    use: str = Field(description="Name of the plugin")

    @property
    def options(self) -> dict[str, Any]:
        """Return what is meant for the plugin itself."""
        return dict(self.model_extra or {})


class DatasetSettings(BaseModel):
    """What may enter a training dataset."""

    model_config = ConfigDict(extra="forbid")
    min_quality: float = Field(0.45, ge=0, le=1, description="Lowest quality score of a sample")
    eval_share: float = Field(0.15, ge=0, lt=1, description="Share of sessions held out")
    history: int = Field(2, ge=0, description="Earlier exchanges of the session given as context")
    max_user_share: float = Field(0.5, gt=0, le=1, description="Most that one user may have of the samples")
    max_topic_share: float = Field(0.5, gt=0, le=1, description="Most that one topic may have of the samples")
    near_duplicates: float = Field(
        0.8, gt=0, le=1, description="Similarity from which on two exchanges are one; 1: equal"
    )
    canaries: int | None = Field(
        None,
        ge=0,
        description="Invented codes planted in a dataset, which the gate then tries to draw out; default: one where nobody behind it has a name",
    )


class SkillSettings(BaseModel):
    """Which conversations a skill is learned from: those that fit any of the topics, words or tags."""

    model_config = ConfigDict(extra="forbid")
    topics: list[str] = Field([], description="Topics as the topics plugin names them")
    words: list[str] = Field([], description="Words one of which is said, in lower case")
    emotions: list[str] = Field([], description="Emotions of the exchange")


class AdapterSettings(BaseModel):
    """How adapters are trained upon each other, approved and served."""

    model_config = ConfigDict(extra="forbid")
    approval: str = Field("gate", pattern="^(gate|person)$", description="Who approves: the gate, or after it a person")
    upon: str = Field(
        "continued",
        pattern="^(continued|stacked)$",
        description="Layers 2 and 3: train layer 1's weights on, or new ones on top of it",
    )
    replay_share: float = Field(
        0.25, ge=0, le=4, description="Samples of layer 1 trained along, of the new ones' number"
    )
    min_samples: int = Field(20, ge=1, description="Samples of a week from which on its adapter is trained by itself")
    probe: bool = Field(True, description="Ask what was deployed, and take it back when it does not answer as here")


class VectorSettings(BaseModel):
    """How far the tables of vectors may grow beyond what they hold."""

    model_config = ConfigDict(extra="forbid")
    parts: int = Field(20, ge=1, description="Files of a table above which a sync merges them; large tables have more")
    grace_s: float = Field(
        5, ge=0, description="Seconds for which a replaced version stays readable, longer than a recall takes"
    )


class LLMSettings(BaseModel):
    """A language model behind an OpenAI-compatible server; the key is read from MEMORY_LLM_API_KEY."""

    model_config = ConfigDict(extra="forbid")
    base_url: str = Field("", description="e.g. http://127.0.0.1:8080/v1; empty: no language model")
    model: str = Field("default", description="Name the server knows it by")
    timeout_s: float = Field(120, gt=0)
    max_retries: int = Field(4, ge=0)
    max_tokens: int = Field(2000, ge=1, description="Longest answer")
    usd_per_million_prompt: float = Field(0.0, ge=0)
    usd_per_million_completion: float = Field(0.0, ge=0)


class Settings(BaseSettings):
    """All settings of an installation."""

    model_config = SettingsConfigDict(env_prefix="MEMORY_", env_nested_delimiter="__", extra="forbid")

    home: Path = Field(Path(".memory"), description="Folder of an embedded installation")
    store_url: str = Field("", description="SQLAlchemy URL of the interaction store; default: SQLite in home")
    lake_url: str = Field("", description="Folder or fsspec URL of the Parquet lake; default: lake in home")
    first_week: str = Field("2020-01-06", description="Monday of the first weekly partition")
    timezone: str = Field(
        default_factory=local_zone,
        description="IANA name of the zone of times without one, and of days such as yesterday; default: this machine's",
    )
    unsynced_threshold: int = Field(25, ge=1, description="Unsynced messages of one agent and user that start a sync")
    anonymize_memory: bool = Field(False, description="Make facts, episodes and embeddings from anonymized text, too")
    vault: Path | None = Field(
        None, description="File that keeps, sealed, what surrogates stand for; default: none, nothing is reversible"
    )
    keep_versions: int = Field(3, ge=0, description="Earlier analytics files kept beside the published one")
    keep_runs: int = Field(50, ge=10, description="Newest finished runs of syncs that Dagster keeps whole")
    plugins_dir: Path | None = Field(None, description="Folder with one-file plugins; default: plugins in home")
    personas_dir: Path | None = Field(
        None, description="Folder with persona templates (JSON); default: personas in home"
    )
    context_template: Path | None = Field(
        None, description="Jinja template of the context block; default: the project's"
    )
    plugins_allow: Annotated[list[str] | None, NoDecode] = Field(
        None, description="Load third-party plugins of these packages only; in a variable: names with commas between"
    )
    plugins: dict[str, PluginChoice] = Field(default_factory=dict, description="Choice per kind")
    dataset: DatasetSettings = Field(default_factory=lambda: DatasetSettings.model_validate({}))
    adapters: AdapterSettings = Field(default_factory=lambda: AdapterSettings.model_validate({}))
    skills: dict[str, SkillSettings] = Field(default_factory=dict, description="Skills that adapters are trained for")
    vectors: VectorSettings = Field(default_factory=lambda: VectorSettings.model_validate({}))
    llm: LLMSettings = Field(default_factory=lambda: LLMSettings.model_validate({}))

    @field_validator("first_week")
    @classmethod
    def _monday(cls, value: str) -> str:
        return parse_week(value).isoformat()

    @field_validator("timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            return zone(value).key
        except SourceError as error:
            raise ValueError(str(error)) from None

    @field_validator("plugins_allow", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment first, then what `load_settings` read from the file."""
        return env_settings, init_settings

    def resolved(self) -> "Settings":
        """Return a copy with absolute paths and every default filled in."""
        home = self.home.expanduser().resolve()
        update: dict[str, Any] = {
            "home": home,
            "store_url": self.store_url or f"sqlite:///{home / 'store.sqlite'}",
            "lake_url": self.lake_url or str(home / "lake"),
            "personas_dir": (self.personas_dir or home / "personas").expanduser().resolve(),
            "vault": self.vault.expanduser().resolve() if self.vault else None,
            "plugins_dir": (self.plugins_dir or home / "plugins").expanduser().resolve(),
        }
        return self.model_copy(update=update)

    @property
    def vectors_dir(self) -> Path:
        """Return the folder of the LanceDB tables."""
        return self.home / "vectors"

    @property
    def warehouse_path(self) -> Path:
        """Return the published DuckDB file."""
        return self.home / "analytics.duckdb"


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings from file and environment, absolute.

    Args:
        config: Path of the TOML file; default ``$MEMORY_CONFIG`` or ``memory.toml`` here, if it exists.
        overrides: Values that replace the file's (tests and `build_defs`).

    Raises:
        SettingsError: a key is unknown, or a value cannot be used.
    """
    named = config or (Path(os.environ["MEMORY_CONFIG"]) if "MEMORY_CONFIG" in os.environ else None)
    path = named or Path(CONFIG_FILE)
    values: dict[str, Any] = {}
    if path.exists():
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not valid TOML: {error}") from None
    elif named:
        raise SettingsError(f"{path}: this settings file does not exist")
    _refuse_unknown_variables()
    try:
        return Settings(**{**values, **overrides}).resolved()
    except UnreadableVariable as error:
        raise SettingsError(f"{error}: write its value as JSON") from None
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(item, str(path)) for item in error.errors())) from None


# Read by other parts than this class: where the file is, and what tests are given.
OTHER_VARIABLES = {"MEMORY_CONFIG", "MEMORY_BASE_MODEL", "MEMORY_LLM_API_KEY"}


def _refuse_unknown_variables() -> None:
    known = [f"MEMORY_{name.upper()}" for name in Settings.model_fields]
    for variable in os.environ:
        if not variable.startswith("MEMORY_") or variable.startswith("MEMORY_TEST_") or variable in OTHER_VARIABLES:
            continue
        if variable.split("__")[0] not in known:
            raise SettingsError(f"environment variable {variable} is no setting{_nearest(variable, known)}")


def _explain(item: Any, path: str) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        groups: dict[str, type[BaseModel]] = {
            "dataset": DatasetSettings,
            "adapters": AdapterSettings,
            "skills": SkillSettings,
            "vectors": VectorSettings,
            "llm": LLMSettings,
        }
        names = list(groups.get(str(item["loc"][0]), Settings).model_fields)
        return f"{path}: {where} is no setting{_nearest(str(item['loc'][-1]), names)}"
    return f"{path}: {where}: {item['msg']}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"
