-- One row per stated fact; what was stated stays in the memory, whether it changed is known here.
select
    fact_id, agent_id, user_key, category, split_part(key, '.', -1) as key_family, polarity, confidence, week, first_mentioned,
    lag(value) over same_thing is not null as was_known,
    coalesce(lower(lag(value) over same_thing) <> lower(value), false) as changed
from lake.facts
window same_thing as (partition by agent_id, user_key, subject, key order by first_mentioned, fact_id)
