"""What is out of date, why, and what making it again would cost; and a backfill of exactly that.

A partition is out of date when it was never made, when its code, plugins, prompt, model or key are others than now, when what it
is made of was made again, or when messages came in. What it makes stale in turn follows: nothing else is touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from memory_assets.lineage import HOW, inputs, made_by
from memory_assets.tools import Tools
from plugins.embedders.encoder import Encoder
from resources.lake import WHOLE
from resources.versions import Stamp

SAMPLE = 200
"""Messages on which speed is measured."""
CHARACTERS_PER_TOKEN = 4
"""Of English and Spanish text in common tokenizers."""
ANSWER = 0.25
"""Tokens of a language model's answer per token it reads."""


@dataclass
class Stale:
    """One asset that is out of date.

    Attributes:
        asset: Its name.
        weeks: Mondays; ``["all"]`` for an asset made of all weeks.
        why: Reasons in words, most frequent first.
        texts: Texts that must be embedded; those that wait on another asset are counted as they stand now.
        tokens: Tokens of a language model, at most: what it answered before is remembered.
        usd: Their price, by the settings.
        minutes: On this machine, by a measured sample; without a language model's time.
    """

    asset: str
    weeks: list[str]
    why: list[str]
    texts: int = 0
    tokens: int = 0
    usd: float = 0.0
    minutes: float = 0.0


def out_of_date(tools: Tools) -> dict[str, dict[str, str]]:
    """Return asset to partition to reason, in the order of the data; nothing is computed or measured."""
    stored = [week for week in tools.store.weeks() if week >= tools.settings.first_week]
    unsynced = set(tools.sync.unsynced_weeks())
    found: dict[str, dict[str, str]] = {}
    for asset, how in HOW.items():
        stamps = tools.versions.of(asset)
        once = [part for part, stamp in stamps.items() if stamp.rows]
        parts = sorted({*stored, *once}) if how.weekly else [WHOLE] if stored or once else []
        maker, made_of = made_by(tools, asset) if parts else "", inputs(tools, asset, parts)
        reasons = {}
        for part in parts:
            reason = _reason(stamps.get(part), maker, made_of[part]) or _follows(how.sources, part, found)
            if not reason and asset == "raw_interactions" and part in unsynced:
                reason = "messages came in"
            if reason:
                reasons[part] = reason
        if reasons:
            found[asset] = reasons
    return found


def _reason(stamp: Stamp | None, maker: str, made_of: dict[str, str]) -> str:
    if stamp is None:
        return "never made"
    if stamp.made_by != maker:
        before, now = stamp.made_by.split(), maker.split()
        return f"{' '.join(p for p in before if p not in now) or 'nothing'} is now {' '.join(p for p in now if p not in before) or 'nothing'}"
    changed = [source for source, content in made_of.items() if stamp.inputs.get(source) != content]
    return f"{changed[0]} was made again" if changed else ""


def _follows(sources: Iterable[str], part: str, found: dict[str, dict[str, str]]) -> str:
    for source in sources:
        stale = found.get(source, {})
        if part in stale or (stale and (part == WHOLE or WHOLE in stale)):
            return f"follows {source}"
    return ""


def plan(tools: Tools, *, measure: bool = True) -> list[Stale]:
    """Return what is out of date, in the order of the data, with what it would cost.

    Args:
        measure: Run the plugins on a sample of messages for the minutes; without it they are 0.
    """
    stale = out_of_date(tools)
    entries = [Stale(asset, sorted(parts), list(dict.fromkeys(parts.values()))) for asset, parts in stale.items()]
    sample = _sample(tools, stale.get("raw_interactions", {})) if measure else None
    for entry in entries:
        entry.texts = _texts(tools, entry, stale)
        messages = _messages(tools, entry.weeks)
        entry.tokens = _tokens(tools, entry, messages["characters"], messages["sessions"])
        entry.usd = round(
            entry.tokens
            * (tools.settings.llm.usd_per_million_prompt + ANSWER * tools.settings.llm.usd_per_million_completion)
            / (1 + ANSWER)
            / 1e6,
            4,
        )
        if sample is not None and sample.height:
            entry.minutes = round(_minutes(tools, entry, sample, messages["messages"]), 2)
    return entries


def _messages(tools: Tools, weeks: list[str]) -> dict[str, int]:
    """Return how many messages, sessions and characters the weeks hold."""
    import sqlalchemy as sa

    m = tools.store.meta.tables["messages"]
    query = sa.select(sa.func.count(), sa.func.count(m.c.session_id.distinct()), sa.func.sum(sa.func.length(m.c.text)))
    if weeks != [WHOLE]:
        query = query.where(m.c.week.in_(weeks))
    with tools.store.engine.connect() as connection:
        count, sessions, characters = connection.execute(query).one()
    return {"messages": count, "sessions": sessions, "characters": int(characters or 0)}


def _texts(tools: Tools, entry: Stale, stale: dict[str, dict[str, str]]) -> int:
    """Return how many texts would be embedded."""
    from memory_assets.assets.vector_weeks import encoder_of
    from memory_assets.tables import LAKE_RECORDS
    from transforms.embedded_text import episode_rows, fact_rows, hashes, spoken

    sources = {"message_embeddings": "raw_interactions", "fact_embeddings": "fact_history"}
    sources["episode_embeddings"] = "consolidated_episodes"
    if entry.asset not in sources:
        return 0
    source = sources[entry.asset]
    encoder = encoder_of(tools, entry.asset)
    weeks = None if entry.weeks == [WHOLE] else entry.weeks
    there = tools.lake.collect(source, LAKE_RECORDS[source], weeks)
    late = 0
    if entry.asset == "message_embeddings":
        there = there.filter(pl.col("role") != "system")
        # Weeks whose snapshot is not of today: their new messages are known to the store only.
        fresh = [week for week in entry.weeks if week in stale.get("raw_interactions", {})]
        late = _messages(tools, fresh)["messages"] - there.filter(pl.col("week").is_in(fresh)).height if fresh else 0
        there = there.with_columns(text_hash=hashes(spoken(there)))
    else:
        there = fact_rows(there) if source == "fact_history" else episode_rows(there)
    held = tools.vectors.text_hashes(entry.asset, encoder.fingerprint)
    wanted = there.select("week", "text_hash").unique().join(held, on=["week", "text_hash"], how="anti")
    remembered = tools.memo.known(encoder.embedder.fingerprint, wanted["text_hash"].to_list())
    return wanted.filter(~pl.col("text_hash").is_in(remembered)).height + max(late, 0)


def _tokens(tools: Tools, entry: Stale, characters: int, sessions: int) -> int:
    """Return the tokens a language model would read and write at most: every text, and the prompt once per session."""
    plugins = [tools.plugin(kind) for kind in HOW[entry.asset].plugins]
    asking = [plugin for plugin in plugins if plugin.asks_llm]
    read = sum((characters + len(plugin.prompt) * sessions) / CHARACTERS_PER_TOKEN for plugin in asking)
    return int(read * (1 + ANSWER))


def _sample(tools: Tools, weeks: dict[str, str]) -> pl.DataFrame:
    """Return a snapshot of some whole sessions of the newest stored week that is out of date, or of the newest."""
    from resources.snapshot import read_week_messages
    from transforms.interactions import snapshot

    stored = tools.store.weeks()
    if not stored:
        return pl.DataFrame()
    week = max((w for w in stored if w in weeks), default=stored[-1])
    raw = snapshot(read_week_messages(tools.store, week, week), tools.keys.pseudonym)
    few = raw.group_by("session_id", maintain_order=True).agg(pl.len()).with_columns(_so_far=pl.col("len").cum_sum())
    sessions = few.filter((pl.col("_so_far") <= SAMPLE) | (pl.int_range(pl.len()) == 0))["session_id"]
    return raw.filter(pl.col("session_id").is_in(sessions.to_list())).head(5 * SAMPLE)


def _minutes(tools: Tools, entry: Stale, sample: pl.DataFrame, messages: int) -> float:
    """Return the minutes by what the sample took: per text to embed, or per message."""
    from transforms.anonymization import anonymize_week
    from transforms.scoring import score_week

    kinds = HOW[entry.asset].plugins
    if "embedder" in kinds:
        if not entry.texts:
            return 0.0
        encoder = Encoder(tools.plugin("embedder"))
        texts = sample["text"].head(32).to_list()
        encoder.vectors(texts[:1])
        start = time.perf_counter()
        encoder.vectors(texts)
        return entry.texts * (time.perf_counter() - start) / len(texts) / 60
    judged = [tools.plugin(kind) for kind in ("scorer", "emotion", "topics")]

    def anonymize(raw: pl.DataFrame) -> pl.DataFrame:
        return anonymize_week(score_week(raw, *judged), raw, tools.plugin("anonymizer"), tools.keys.pseudonym)

    work: dict[str, Callable[[pl.DataFrame], Any]] = {
        "scored_interactions": lambda raw: score_week(raw, *judged),
        "anonymized_interactions": anonymize,
        "facts": lambda raw: tools.plugin("facts").extract(raw),
        "episodes": lambda raw: tools.plugin("episodes").extract(score_week(raw, *judged)),
    }
    if entry.asset not in work or any(tools.plugin(kind).asks_llm for kind in kinds):
        return 0.0
    # One session first, untimed: models load with it. Texts that were read before are remembered, as they will be in the run.
    work[entry.asset](sample.filter(pl.col("session_id") == sample["session_id"][0]))
    start = time.perf_counter()
    work[entry.asset](sample)
    return messages * (time.perf_counter() - start) / sample.height / 60
