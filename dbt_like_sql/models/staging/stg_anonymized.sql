-- One row per interaction as it may leave the memory: the only text in this file.
select
    interaction_id, session_key, agent_id, user_key, persona_id, week, input_text, output_text, language, quality, junk,
    opt_out, n_replaced, residual
from lake.anonymized_interactions
where residual = 0
