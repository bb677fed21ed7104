"""Alembic's entry: runs the migrations on the connection that `InteractionStore.migrate` hands over."""

from alembic import context

from resources.tables import VERSION_TABLE, store_metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=store_metadata(), render_as_batch=True, version_table=VERSION_TABLE
)
with context.begin_transaction():
    context.run_migrations()
