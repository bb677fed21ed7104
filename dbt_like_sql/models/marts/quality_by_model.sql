-- Quality per persona, model version and week: what a change of the model behind an agent did.
select
    i.week, i.agent_id, i.persona_id, i.model_version, count(*) as interactions, avg(i.quality) as quality,
    avg(i.q_relevance) as relevance, avg(i.q_reaction) as reaction, avg(i.valence) as valence,
    avg(case when i.junk is null then 0.0 else 1.0 end) as junk_share,
    sum(case when i.corrected then 1 else 0 end) as corrected,
    sum(case when i.quality_source <> 'scorer' then 1 else 0 end) as judged_by_people
from stg_interactions as i
where i.answered and i.persona_id is not null and i.model_version is not null
group by i.week, i.agent_id, i.persona_id, i.model_version
order by i.week, i.agent_id, i.persona_id, i.model_version
