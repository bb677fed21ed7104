-- Volume per agent and day.
select
    m.day, m.agent_id, count(*) as messages, count(distinct m.session_key) as sessions, count(distinct m.user_key) as users,
    sum(case when m.role = 'agent' then 1 else 0 end) as agent_messages, sum(m.characters) as characters
from stg_messages as m
group by m.day, m.agent_id
order by m.day, m.agent_id
