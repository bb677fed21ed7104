-- What was talked about per agent and week.
with named as (
    select i.interaction_id, i.week, i.agent_id, i.quality, i.valence, unnest(i.topics) as topic
    from stg_interactions as i
)
select n.week, n.agent_id, n.topic, count(*) as interactions, avg(n.quality) as quality, avg(n.valence) as valence
from named as n
group by n.week, n.agent_id, n.topic
order by n.week, n.agent_id, interactions desc, n.topic
