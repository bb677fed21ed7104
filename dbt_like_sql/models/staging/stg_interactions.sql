-- One row per interaction with its judgement.
select
    interaction_id, session_key, agent_id, user_key, persona_id, week, occurred_at, cast(occurred_at as date) as day,
    n_messages, opt_out, language, quality, quality_source, q_relevance, q_informativeness, q_specificity, q_coherence, q_length,
    q_originality, q_engagement, q_reaction, junk, emotion, input_emotion, output_emotion, arousal, valence, topics,
    model_version, given_emotion is not null as emotion_given, given_importance, correction is not null as corrected,
    output_text <> '' as answered
from lake.scored_interactions
