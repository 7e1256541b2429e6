"""``python -m tests.chaos.judge``: judge a run on a broker, or one that was recorded.

``--record FILE`` keeps what was read, so that it can be judged again without the broker.
"""

import argparse
import json
import sys
from pathlib import Path

from tests.chaos.judge.broker import BrokerSource
from tests.chaos.judge.database import RowSource
from tests.chaos.judge.documents import FolderSource
from tests.chaos.judge.record import Source, Together, Told, Unjudgeable
from tests.chaos.judge.recording import RecordedSource, write
from tests.chaos.judge.trial import TOPICS, judge
from tests.chaos.judge.verdict import Verdict


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.judge", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--bootstrap", metavar="HOST:PORT", help="the broker of the run")
    where.add_argument("--recording", type=Path, metavar="FILE", help="what --record wrote")
    parser.add_argument("--run", default="", help="name of the run; without: the live one")
    parser.add_argument("--database", metavar="URL", help="the PostgreSQL with its rows")
    parser.add_argument("--artifacts", type=Path, metavar="FOLDER", help="documents of epochs")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep what is read")
    parser.add_argument("--running", action="store_true", help="the run goes on meanwhile")
    parser.add_argument("--clean", action="store_true", help="no dead letter is allowed")
    parser.add_argument(
        "--least",
        metavar="CODE=N",
        action="append",
        default=[],
        type=_least,
        help="how much of a promise must have been checked, such as I5=0; without: something",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _least(text: str) -> tuple[str, int]:
    code, _, n = text.partition("=")
    if code not in {each.code for each in Verdict().all()} or not n.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; expected a promise and a number, as I5=0")
    return code, int(n)


def _source(said: argparse.Namespace) -> Source:
    if said.recording:
        return RecordedSource(said.recording)
    prefix = f"{said.run}." if said.run else ""
    sources: list[Source] = [BrokerSource(said.bootstrap, prefix, TOPICS)]
    if said.database:
        sources.append(RowSource(said.database, said.run))
    if said.artifacts:
        sources.append(FolderSource(said.artifacts))
    return Together(*sources)


def main() -> int:
    """Judge, print, and return 0 if everything holds, 1 if not, 2 if it cannot be judged."""
    said = _arguments().parse_args()
    try:
        source = _source(said)
        if said.record:
            write(source, said.record)
            source = RecordedSource(said.record)
        told = Told(source, lambda line: print(line, file=sys.stderr))  # noqa: T201  a command's output
        verdict = judge(told, is_running=said.running, is_clean=said.clean, least=dict(said.least))
    except Unjudgeable as error:
        print(f"cannot be judged: {error}", file=sys.stderr)  # noqa: T201  a command's output
        return 2
    print(json.dumps(verdict.plain(), indent=2) if said.json else verdict.table())  # noqa: T201  a command's output
    return 0 if verdict.holds() else 1


if __name__ == "__main__":
    sys.exit(main())
