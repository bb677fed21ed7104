-- Messages, facts and episodes per agent and week, and how much is remembered in all.
with counted as (
    select week, agent_id, count(*) as messages, 0 as facts, 0 as episodes from stg_messages group by week, agent_id
    union all
    select week, agent_id, 0, count(*), 0 from stg_facts group by week, agent_id
    union all
    select week, agent_id, 0, 0, count(*) from stg_episodes group by week, agent_id
),
weekly as (
    select week, agent_id, sum(messages) as messages, sum(facts) as facts, sum(episodes) as episodes
    from counted
    group by week, agent_id
)
select
    week, agent_id, messages, facts, episodes, sum(messages) over so_far as messages_total, sum(facts) over so_far as facts_total,
    sum(episodes) over so_far as episodes_total
from weekly
window so_far as (partition by agent_id order by week)
order by week, agent_id
