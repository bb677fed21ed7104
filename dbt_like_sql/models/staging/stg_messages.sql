-- One row per utterance, without its words and without anybody's id.
select
    message_id, interaction_id, session_key, agent_id, user_key, role, length(text) as characters, turn, week,
    occurred_at, cast(occurred_at as date) as day, opt_out, source
from lake.raw_interactions
