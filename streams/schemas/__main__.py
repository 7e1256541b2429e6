"""Write the schema files anew: ``python -m streams.schemas``."""

import json
import sys

from streams.schemas import READ, WRITTEN, breaks, path_of, schema_of, text_of


def main() -> int:
    """Write every schema; give 1 and change nothing of a record whose change would break others."""
    status = 0
    for record in (*READ, *WRITTEN):
        path, new = path_of(record), schema_of(record)
        old = json.loads(path.read_text()) if path.exists() else new
        broken = breaks(old, new, is_read=record in READ)
        for complaint in broken:
            sys.stderr.write(f"{path.name}: {complaint}\n")
        if broken:
            status = 1
        else:
            path.write_text(text_of(new))
    return status


if __name__ == "__main__":
    sys.exit(main())
