-- One row per episode, without its words.
select
    episode_id, agent_id, user_key, week, started_at, ended_at, type, importance, arousal, valence, dominant_emotion, tags,
    len(participants) as n_participants, len(source_message_ids) as n_messages
from lake.episodes
