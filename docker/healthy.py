#!/usr/bin/env python3
"""Say whether an address answers 200: ``healthy URL``, for the health checks of containers."""

import sys
import urllib.error
import urllib.request

_PATIENCE_S = 3.0


def main(url: str) -> int:
    """Return 0 if it does, 1 with the reason if it does not."""
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310  an address of our own
            return 0 if answer.status == 200 else 1  # noqa: PLR2004  as the docstring says
    except (urllib.error.URLError, OSError) as error:
        sys.stderr.write(f"{url}: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
