"""``POST /risk/check``, ``GET /risk/portfolio``: what the folded book says; it reserves nothing."""

from streams.errors import FieldError
from streams.instructions import OrderIntent
from streams.questions import OfPortfolio, PortfolioAnswer, RiskAnswer, RiskCheck
from tables.decisions import snapshot_event
from tables.rules import slot_at
from tables.views.desk import Desk, owner_by, portfolio_of
from tables.views.problems import wrong_field
from tables.views.risk_answer import answer, as_of
from tables.views.routes import Bound, Call, Reply, Route

CHECK = Route(
    "POST",
    "/risk/check",
    "checkRisk",
    "Would this order pass?",
    "Asks every control about an order as the book stands now. It reserves nothing: an order that "
    "would pass now may be refused when it is sent.",
    RiskCheck,
    RiskAnswer,
    limited="risk",
    codes=(404,),
)
PORTFOLIO = Route(
    "GET",
    "/risk/portfolio",
    "getPortfolio",
    "The account as it stands",
    "Cash, equity, holdings and what the controls see; open orders are counted as filled.",
    OfPortfolio,
    PortfolioAnswer,
    limited="risk",
    codes=(404,),
)


def risk_endpoints(desk: Desk) -> tuple[Bound, ...]:
    """Return the endpoints about a book."""

    async def check(call: Call) -> Reply:
        asked: RiskCheck = call.asked
        name = portfolio_of(desk, call)
        book, place = desk.book(name)
        kept = book.account.kept
        order = OrderIntent(
            portfolio=name,
            ts_event=max(kept.now_ns, 0),
            intent_id="question",
            symbol=asked.symbol,
            side=asked.side,
            quantity=asked.quantity,
            price=asked.price,
            strategy=asked.strategy,
        )
        try:
            return Reply(answer(book.account, book.slot, order, as_of(book.account, *place)))
        except FieldError as error:
            problem = wrong_field(error)
            if error.reason == "UNKNOWN_SYMBOL":  # as everywhere: what is not there is not found
                problem.status = 404
            raise problem from error

    async def portfolio(call: Call) -> Reply:
        book, place = desk.book(portfolio_of(desk, call))
        account = book.account
        slot = slot_at(book.slot, account, max(account.kept.now_ns, 0), 0)
        said = snapshot_event(slot, account)
        fields = {name: getattr(said, name) for name in said.__struct_fields__}
        return Reply(PortfolioAnswer(**fields, as_of=as_of(account, *place)))

    owner = owner_by(desk)
    return Bound(CHECK, check, owner), Bound(PORTFOLIO, portfolio, owner)
