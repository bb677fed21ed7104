-- Of the users who first came in a week, how many were there n weeks later.
with active as (
    select distinct agent_id, user_key, cast(week as date) as week
    from stg_messages
    where user_key is not null
),
firsts as (
    select agent_id, user_key, min(week) as cohort from active group by agent_id, user_key
),
sizes as (
    select agent_id, cohort, count(*) as cohort_size from firsts group by agent_id, cohort
)
select
    f.agent_id, strftime(f.cohort, '%Y-%m-%d') as cohort, s.cohort_size, date_diff('week', f.cohort, a.week) as weeks_later,
    count(*) as users, count(*) / s.cohort_size as retention
from firsts as f
inner join active as a on a.agent_id = f.agent_id and a.user_key = f.user_key
inner join sizes as s on s.agent_id = f.agent_id and s.cohort = f.cohort
group by f.agent_id, f.cohort, s.cohort_size, weeks_later
order by f.agent_id, f.cohort, weeks_later
