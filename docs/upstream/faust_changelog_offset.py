"""A table's own write counts its database past what another worker has written before it.

``python faust_changelog_offset.py [--with-change]`` exits 1 while the bug is there. It needs no
broker: the answer of one, the offset of a changelog record, stands in for it.
"""

import argparse
import asyncio
import tempfile
from importlib.metadata import version

import faust
from faust.tables import Table
from faust.types import TP
from faust.types.tuples import RecordMetadata

# What the database has read, what the new owner has written since, and this worker's late write.
READ, OWNERS, LATE = 5, 6, 7


def apply_change() -> None:
    """Count on only where nothing was written in between, as proposed."""
    count_on = Table._on_changelog_sent

    def on_changelog_sent(self, fut):
        sent = fut.result()
        known = self.data.persisted_offset(sent.topic_partition)
        if sent.offset == (0 if known is None else known + 1):
            count_on(self, fut)

    Table._on_changelog_sent = on_changelog_sent


async def play(folder: str) -> int:
    """Let a table's late write be acknowledged, and look where its recovery would begin."""
    app = faust.App(
        "changelog-offset", broker="kafka://127.0.0.1:1", store="rocksdb://", datadir=folder
    )
    table = app.Table("counts", partitions=1, options={"driver": "rocksdict"})
    changelog = TP("changelog-offset-counts-changelog", 0)
    table.data.set_persisted_offset(changelog, READ)
    acknowledged = asyncio.get_running_loop().create_future()
    acknowledged.set_result(RecordMetadata(changelog.topic, changelog.partition, changelog, LATE))
    table._on_changelog_sent(acknowledged)
    begins = table.persisted_offset(changelog) + 1
    print(f"faust-streaming {version('faust-streaming')}")
    print(f"read up to {READ}, another worker wrote {OWNERS}, this one wrote {LATE}")
    fate = "read" if begins <= OWNERS else "never read"
    print(f"a recovery reads on from {begins}: {OWNERS} is {fate}")
    print("the bug is there" if begins > OWNERS else "mended")
    return int(begins > OWNERS)


def main() -> int:
    """Play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with-change", action="store_true")
    options = parser.parse_args()
    if options.with_change:
        apply_change()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(play(folder))


if __name__ == "__main__":
    raise SystemExit(main())
