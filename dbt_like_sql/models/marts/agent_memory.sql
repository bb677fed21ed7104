-- What each agent remembers: total, consolidated, average importance, and the last seven days of its own time.
with newest as (
    select agent_id, max(ended_at) as until from stg_consolidated_episodes group by agent_id
)
select
    e.agent_id, count(*) as memories, sum(case when e.is_consolidated then 1 else 0 end) as consolidated,
    sum(e.n_merged) as merged_episodes, avg(e.importance) as average_importance,
    sum(case when e.ended_at > n.until - interval 7 day then 1 else 0 end) as last_7_days
from stg_consolidated_episodes as e
inner join newest as n on n.agent_id = e.agent_id
group by e.agent_id
order by e.agent_id
