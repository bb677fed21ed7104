-- How many episodes of each week have a vector, in the table that recall reads.
select week, rows, embedder from lake.episode_embeddings
