-- Quality per persona and week, with its components.
select
    i.week, i.agent_id, i.persona_id, count(*) as interactions, avg(i.quality) as quality, avg(i.q_relevance) as relevance,
    avg(i.q_informativeness) as informativeness, avg(i.q_originality) as originality, avg(i.q_engagement) as engagement,
    avg(i.q_coherence) as coherence, avg(i.q_reaction) as reaction,
    avg(case when i.junk is null then 0.0 else 1.0 end) as junk_share,
    sum(case when i.quality_source <> 'scorer' then 1 else 0 end) as judged_by_people
from stg_interactions as i
where i.answered and i.persona_id is not null
group by i.week, i.agent_id, i.persona_id
order by i.week, i.agent_id, i.persona_id
