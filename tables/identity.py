"""The identity of a run: one hash of all that it decided, whoever decided it and how fast.

SHA-256 over the canonical bytes of the decisions of a portfolio, each followed by a line feed, in
order of time, symbol and id; over all portfolios, SHA-256 of their ids and hashes. A decision that
comes again with the same bytes changes nothing.
"""

import hashlib
from dataclasses import dataclass, field

from streams.errors import StreamError

# Of a decision's SHA-256: enough to tell that a repeat is none.
_KNOWN_BYTES = 16


class DecisionConflict(StreamError):  # noqa: N818  says what is the case
    """A decision came again with other bytes, or in another order than that of the bars.

    Operator action: two writers share the topic, or a fold is no function; replay into fresh
    topics.
    """


@dataclass(slots=True)
class _Portfolio:
    """The hash so far, and the decisions of the newest time, which may get company."""

    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    now_ns: int = -1
    waiting: list[tuple[str, str, bytes]] = field(default_factory=list)
    known: dict[str, bytes] = field(default_factory=dict)
    n: int = 0

    def close(self) -> None:
        """Hash what waits."""
        if not self.waiting:
            return
        values = [value for _, _, value in sorted(self.waiting)]
        self.digest.update(b"\n".join([*values, b""]))
        self.n += len(values)
        self.waiting.clear()


class Identity:
    """Hashes decisions as they come.

    Parameters
    ----------
    may_repeat
        Whether a decision may come again, as it does on a topic; each id is remembered then.
    """

    def __init__(self, *, may_repeat: bool = False) -> None:
        self._portfolios: dict[str, _Portfolio] = {}
        self._may_repeat = may_repeat

    def add(self, portfolio: str, ts_ns: int, symbol: str, decision_id: str, value: bytes) -> bool:
        """Take one decision; False if it came before.

        Raises
        ------
        DecisionConflict
            If the id came with other bytes, or the time lies before that of another decision.
        """
        known = self._portfolios.setdefault(portfolio, _Portfolio())
        if self._may_repeat:
            short = hashlib.sha256(value).digest()[:_KNOWN_BYTES]
            if known.known.setdefault(decision_id, short) != short:
                raise DecisionConflict(f"decision {decision_id} came again with other bytes")
            if len(known.known) == known.n + len(known.waiting):
                return False
        if ts_ns < known.now_ns:
            raise DecisionConflict(
                f"portfolio {portfolio}: decision {decision_id} of {ts_ns} ns came behind one of "
                f"{known.now_ns} ns; expected the order of the bars"
            )
        if ts_ns > known.now_ns:
            known.close()
            known.now_ns = ts_ns
        known.waiting.append((symbol, decision_id, value))
        return True

    def digests(self) -> dict[str, str]:
        """Return the hash of each portfolio, in order of their ids."""
        found = {}
        for name, portfolio in sorted(self._portfolios.items()):
            portfolio.close()
            found[name] = portfolio.digest.hexdigest()
        return found

    def total(self) -> str:
        """Return the hash of all portfolios."""
        lines = "".join(f"{name} {digest}\n" for name, digest in self.digests().items())
        return hashlib.sha256(lines.encode()).hexdigest()

    def n_decisions(self) -> int:
        """Return how many decisions were taken, repeats left out."""
        return sum(each.n + len(each.waiting) for each in self._portfolios.values())
