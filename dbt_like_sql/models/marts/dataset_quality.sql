-- What could be trained on per week, and on which side of the split it stands.
select 'personality' as kind, week, split, count(*) as samples, avg(quality) as quality, sum(n_messages) as messages
from stg_samples
group by week, split
union all
select 'episodic', week, split, count(*), avg(quality), sum(n_messages)
from stg_episodic_samples
group by week, split
order by kind, week, split
