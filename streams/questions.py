"""Questions and answers over HTTP: what the API takes and gives, for both of its ends.

The published document is made of these records, the server checks by them, and the client of
:mod:`streams.client` sends and reads them.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from streams.explanation import Explanation
from streams.instructions import Side, Specialist
from streams.records import (
    LARGEST_PRICE,
    LARGEST_SIZE,
    LONGEST_ID,
    SMALLEST_PRICE,
    Decision,
    Digests,
    PortfolioSnapshot,
    RegimeProbs,
    Rejection,
    StrategyWeights,
)

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00-\x1f\x7f]+$")]
Quantity = Annotated[float, Meta(gt=0, le=LARGEST_SIZE)]
Price = Annotated[float, Meta(ge=SMALLEST_PRICE, le=LARGEST_PRICE)]
VerdictName = Literal["approved", "refused", "hold", "warming up"]
Timestamp = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
Code = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Z0-9_]+$")]
HowExplained = Literal["model", "controls", "none"]
Cursor = Annotated[str, Meta(pattern=r"^[0-9]{1,19}-[0-9]{1,9}-[0-9]{1,19}$")]


class Wrong(msgspec.Struct, frozen=True):
    """One field: what it was and what was expected."""

    field: str
    value: Any
    expected: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error; ``code`` is for programs, ``detail`` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str = ""
    errors: list[Wrong] = []


class RiskCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order to ask about; without a price at the market, without a portfolio the token's."""

    symbol: Id
    side: Side
    quantity: Quantity
    price: Price | None = None
    portfolio: Id | None = None
    strategy: Id = "manual"


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where the book's log was read, and the account's time and last bar there."""

    partition: int
    next_offset: int
    time: str
    last_bar: str


class RiskAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict about an order; ``limit_utilization`` is value over limit, if it were filled."""

    portfolio: str
    symbol: str
    approved: bool
    rejection_reasons: list[Rejection]
    allowed_quantity: float
    position_after_trade: float
    limit_utilization: dict[str, float]
    state: str
    as_of: AsOf


class OfPortfolio(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which portfolio; without one the token's."""

    portfolio: Id | None = None


class PortfolioAnswer(PortfolioSnapshot, frozen=True, kw_only=True):
    """The account as it stands: as after its last bar, with what has happened since."""

    as_of: AsOf


class Predict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to predict, and for whom.

    Without a timestamp the last bar counts; with one, a bar of that close which is still kept. An
    override lets one specialist alone decide. Without the risk check, which only researchers may
    leave out, the decision is marked and can never be executed.
    """

    symbol: Id
    portfolio: Id | None = None
    timestamp: Timestamp | None = None
    strategy_override: Specialist | None = None
    risk_check: bool = True
    explain: bool = False


class RiskVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the book said."""

    approved: bool
    rejection_reasons: list[Rejection]
    allowed_quantity: float


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The decision as the book's log made it; ``decision_id`` finds the whole event."""

    decision_id: str
    symbol: str
    portfolio: str
    timeframe: str
    timestamp: str
    bar_close: str
    action: Literal["BUY", "SELL", "HOLD"]
    confidence: float
    quantity: float
    price: float
    target_fraction: float
    note: str
    regime_probs: RegimeProbs
    entropy_bits: float
    strategy_weights: StrategyWeights
    risk: RiskVerdict
    digests: Digests
    epoch: int
    latency_ms: float
    explanation: Explanation | None = None


class OfFeatures(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose universe; without one the token's portfolio."""

    portfolio: Id | None = None


class FeatureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's features after a bar, by name; those that warm up are named apart."""

    symbol: str
    timeframe: str
    version: str
    bar_close: str
    features: dict[str, float]
    warming_up: list[str]


class OfDecisions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decisions, the newest first; ``before`` is the cursor of the page before."""

    symbol: Id | None = None
    action: Literal["BUY", "SELL", "HOLD"] | None = None
    verdict: VerdictName | None = None
    reason: Code | None = None
    portfolio: Id | None = None
    before: Cursor | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class DecisionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A decision in short; its id finds the whole event."""

    decision_id: str
    timestamp: str
    portfolio: str
    timeframe: str
    symbol: str
    action: str
    quantity: float
    price: float
    confidence: float
    verdict: str
    reasons: list[str]


class DecisionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A page of decisions; without ``next`` it is the last one.

    A page can have fewer lines than were asked for, or none, and still have a ``next``.
    ``complete_since`` is told where a page reaches decisions of which some are in no list: nothing
    later than that bar is missing.
    """

    decisions: list[DecisionLine]
    next: str | None
    complete_since: Timestamp | None = None


class PartHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One part; without one that is not needed answers are slower or fewer, and still right."""

    name: str
    is_well: bool
    is_needed: bool
    detail: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this process lives, and whether it can answer; 503 while it cannot."""

    live: bool
    ready: bool
    parts: list[PartHealth]


class ModelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One set of models: what it is made of, what it was fitted on, and what decides with it.

    ``portfolios`` are those of the caller.
    """

    digest: str
    epoch_digest: str
    timeframe: str
    pipeline_version: str
    pipeline_digest: str
    symbols: list[str]
    portfolios: list[str]
    seed: int
    fit_version: int
    code: str | None
    first_close: str
    last_close: str
    metrics: dict[str, Any]


class ModelsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All sets by which a portfolio of the caller goes on."""

    models: list[ModelAnswer]


class OfRegime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which symbol; without one all of the portfolio's universe."""

    symbol: Id | None = None
    portfolio: Id | None = None


class SymbolRegime(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol's probabilities after a bar; ``entropy_bits`` is at most 1.585.

    While the features of a symbol warm up its probabilities are equal and say nothing.
    """

    symbol: str
    bar_close: str
    is_warm: bool
    bull: float
    bear: float
    sideways: float
    entropy_bits: float


class RegimeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The mean of the rows that are warm, or of all while none is, and all rows."""

    timeframe: str
    bar_close: str
    bull: float
    bear: float
    sideways: float
    entropy_bits: float
    rows: list[SymbolRegime]


class AuditPlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the audit trail has a decision; with a proof, the head that signs for it."""

    partition: int
    offset: int
    row: int
    chain: str
    is_proved: bool
    head: int | None = None
    root: str | None = None
    path: list[str] = []


class ForensicsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A decision with its reasons; while they are pending there are none yet."""

    decision_id: str
    pending: str = ""
    decision: Decision | None = None
    explanation: Explanation | None = None
    is_stored: bool = False
    audit: AuditPlace | None = None


class OfForensics(OfDecisions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rows of the audit trail, the newest first; ``since`` and ``until`` are bars' closes.

    ``why`` is what a decision was explained for, ``explained`` what of it is stored.
    """

    why: Literal["order", "refusal", "sample", "demand"] | None = None
    explained: HowExplained | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None


class ForensicsLine(DecisionLine, frozen=True, kw_only=True):
    """A row of the audit trail in short; ``is_signed`` says that a signed head covers it."""

    partition: int
    offset: int
    row: int
    is_signed: bool
    explained: HowExplained
    why: str | None
    is_additive: bool | None


class ForensicsPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the audit trail, as :class:`DecisionsAnswer`."""

    forensics: list[ForensicsLine]
    next: str | None
