"""The whole graph as one code location of Dagster; importing this module must stay light (see benchmarks/startup.py)."""

import dagster as dg

from dbt_like_sql.project import Project
from memory_assets import checks, jobs, schedules, sensors
from memory_assets.assets import (
    adapters,
    analytics,
    anonymized,
    datasets,
    embeddings,
    episodes,
    facts,
    raw,
    relationships,
    scored,
    synced,
)
from memory_assets.failures import keep_private
from memory_assets.partitions import weekly_partitions
from memory_assets.tables import LAKE_RECORDS
from memory_assets.tools import Tools
from records.errors import PluginError
from resources.lake_io import LakeIOManager
from resources.settings import Settings, load_settings


def build_defs(
    settings: Settings | None = None, *, tools: Tools | None = None, project: Project | None = None
) -> dg.Definitions:
    """Return every asset, check, job, schedule and sensor for an installation.

    Args:
        settings: Default: from `memory.toml` and the environment.
        tools: Stores and plugins of the installation; default: those the settings name.
        project: The SQL models; default: those of `dbt_like_sql`.

    Raises:
        MemoryAssetsError: settings or models cannot be used. Broken plugins do not raise here: `memory plugins` names them.
    """
    tools = tools or Tools(settings or load_settings())
    keep_private(tools.settings.home, tools.fence)
    weekly = weekly_partitions(tools.settings.first_week)
    marts = analytics.build(project or Project())
    made = jobs.build(marts, weekly)
    own = dg.Definitions(
        assets=[
            raw.build(weekly),
            scored.build(weekly),
            anonymized.build(weekly),
            *embeddings.build(weekly),
            *facts.build(weekly),
            *episodes.build(weekly),
            *relationships.build(),
            synced.build(weekly),
            *datasets.build(weekly),
            *adapters.build(weekly),
            marts,
        ],
        asset_checks=[
            *checks.schema_checks(weekly),
            *checks.embedding_checks(weekly),
            *anonymized.build_checks(weekly),
            *facts.build_checks(weekly),
            *datasets.build_checks(weekly),
        ],
        jobs=list(made.values()),
        schedules=schedules.build(made),
        sensors=sensors.build(made),
        # A process for each step took four seconds to start, thirty times a week; training and evaluation have one of their own anyway.
        executor=dg.in_process_executor,
        resources={"tools": tools, "lake": LakeIOManager(tools.lake, LAKE_RECORDS, tools.stamps, tools.fence)},
    )
    return with_contributions(own, tools)


def with_contributions(own: dg.Definitions, tools: Tools) -> dg.Definitions:
    """Return the definitions merged with those of plugins; one that clashes is an error that names its package.

    Raises:
        PluginError: a plugin brings an asset that exists already.
    """
    for package, contributed in tools.registry.contributed_definitions():
        taken = own.resolve_asset_graph().materializable_asset_keys
        try:
            clashing = sorted(
                key.to_user_string() for key in taken & contributed.resolve_asset_graph().materializable_asset_keys
            )
            if clashing:
                raise PluginError(
                    f"the assets of plugin package {package} do not fit: {', '.join(clashing)} exists already"
                )
            own = dg.Definitions.merge(own, contributed)
        except dg.DagsterError as error:
            raise PluginError(
                f"the assets of plugin package {package} do not fit: {str(error).splitlines()[0]}"
            ) from None
    return own
