"""``python -m agents`` is ``tradewind``."""

from agents.cli import main

if __name__ == "__main__":
    main()
