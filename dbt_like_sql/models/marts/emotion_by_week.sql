-- Emotions per agent and week, with their share.
select
    i.week, i.agent_id, i.emotion, count(*) as interactions,
    count(*) / sum(count(*)) over (partition by i.week, i.agent_id) as share, avg(i.arousal) as arousal, avg(i.valence) as valence
from stg_interactions as i
group by i.week, i.agent_id, i.emotion
order by i.week, i.agent_id, i.emotion
