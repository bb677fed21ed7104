-- What people stated per week and category: new, said again, changed, denied.
select
    f.week, f.agent_id, f.category, count(*) as facts, count(distinct f.user_key) as users,
    sum(case when not f.was_known then 1 else 0 end) as new_facts,
    sum(case when f.was_known and not f.changed then 1 else 0 end) as confirmed,
    sum(case when f.changed then 1 else 0 end) as changed, sum(case when not f.polarity then 1 else 0 end) as denied
from stg_facts as f
group by f.week, f.agent_id, f.category
order by f.week, f.agent_id, f.category
