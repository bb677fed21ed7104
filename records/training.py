"""What a dataset for training is made of: its samples, each traceable to the messages behind it."""

import dataframely as dy

from records.base import Record
from records.interactions import one_of


class DatasetManifest(Record):
    """One row per training sample: where it came from and on which side of the split it stands."""

    sample_id = dy.String(primary_key=True, description="Content id over its interactions")
    split = dy.String(check=one_of(("train", "eval")), description="By session, stable from week to week")
    session_key = dy.String(description="Keyed pseudonym of the session")
    week = dy.String(description="Monday of its week")
    interaction_ids = dy.List(dy.String(), description="Interactions in it, in order")
    source_message_ids = dy.List(dy.String(), description="Messages behind it")
    quality = dy.Float64(min=0, max=1, description="Mean quality of its interactions")
    n_tokens = dy.Int64(min=0, description="Tokens by the base's own tokenizer, an estimate where it is not installed")
    content_hash = dy.String(description="Hash of the sample's text as exported")
    messages = dy.String(description="The sample as ChatML messages, JSON")
    rejected = dy.String(
        nullable=True, description="The answer that somebody corrected; the sample holds the better one"
    )
