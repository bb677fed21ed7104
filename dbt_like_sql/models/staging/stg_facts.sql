-- One row per stated fact; what was stated stays in the memory, whether it changed is known here.
-- Likes, plans and the like add up: another one is new, not a change. Of a city or a job the last one holds.
with stated as (
    select *, case when category in ('like', 'dislike', 'plan', 'possession', 'routine', 'health') then lower(value) end as one_of_many
    from lake.facts
)
select
    fact_id, agent_id, user_key, category, split_part(key, '.', -1) as key_family, polarity, confidence, week, first_mentioned,
    lag(value) over same_thing is not null as was_known,
    coalesce(lower(lag(value) over same_thing) <> lower(value), false) as changed
from stated
window same_thing as (partition by agent_id, user_key, subject, key, one_of_many order by first_mentioned, fact_id)
