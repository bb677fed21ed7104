-- Per week: what the store holds, what has been made of it, and what is missing.
with raw as (
    select week, count(*) as messages, sum(case when role = 'system' then 1 else 0 end) as system_messages
    from stg_messages
    group by week
),
judged as (
    select week, count(*) as interactions from stg_interactions group by week
),
clean as (
    select week, count(*) as anonymized from stg_anonymized group by week
)
select
    s.week, s.messages as stored, s.unsynced, coalesce(r.messages, 0) as in_snapshot, coalesce(j.interactions, 0) as interactions,
    coalesce(j.interactions, 0) - coalesce(c.anonymized, 0) as held_back, coalesce(v.rows, 0) as embedded,
    coalesce(r.messages, 0) - coalesce(r.system_messages, 0) - coalesce(v.rows, 0) as not_embedded, coalesce(e.rows, 0) as episode_vectors
from lake.store_weeks as s
left join raw as r on r.week = s.week
left join judged as j on j.week = s.week
left join clean as c on c.week = s.week
left join stg_message_embeddings as v on v.week = s.week
left join stg_episode_embeddings as e on e.week = s.week
order by s.week
