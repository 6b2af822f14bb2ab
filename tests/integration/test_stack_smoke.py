from __future__ import annotations
import asyncpg, pytest
pytestmark = pytest.mark.integration
async def test_a(database, topic_prefix):
    dsn, owner = database
    c = await asyncpg.connect(dsn); print(await c.fetch("select current_user, current_database()")); await c.close()
def test_b(stack): assert stack.kafka
