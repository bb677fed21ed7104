"""The door of Dagster: what `workspace.yaml` names. What is in it is put together in `memory_assets.code_location`."""

from memory_assets.code_location import build_defs

defs = build_defs()
