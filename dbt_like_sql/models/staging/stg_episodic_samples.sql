-- One row per training sample of the weekly episodic datasets, without its words.
select sample_id, split, session_key, week, quality, len(source_message_ids) as n_messages, content_hash
from lake.episodic_dataset
