-- One row per memory that stands after consolidation.
select
    episode_id, agent_id, user_key, week, started_at, ended_at, type, importance, valence, dominant_emotion, is_consolidated,
    len(consolidated_from) as n_merged
from lake.consolidated_episodes
