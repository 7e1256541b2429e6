"""The templates, compiled once; everything that they print is escaped."""

from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from streams.timestamps import format_ns
from tables.views import figures, number_text
from tables.views.decision_row import DecisionRow

_ENVIRONMENT = Environment(
    loader=PackageLoader("tables.views", "page"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "price": number_text.price_text,
    "percent": number_text.percent_text,
    "money": number_text.money_text,
    "quantity": number_text.quantity_text,
    "signed_quantity": number_text.signed_quantity_text,
    "feature": number_text.feature_text,
    "time": number_text.time_text,
    "close": format_ns,
    "kafka_time": number_text.kafka_time_text,
    "header": number_text.header_text,
    "stacked": figures.stacked_bar,
    "share": figures.share_bar,
}


def render(name: str, **context: Any) -> str:  # noqa: ANN401  values of any template
    """Return a page."""
    return _ENVIRONMENT.get_template(name).render(context)


@lru_cache(maxsize=2_000)
def line_html(row: DecisionRow) -> str:
    """Return a line of the list; those who follow are all given the same one, made once."""
    return render("line.html", row=row)


@lru_cache(maxsize=1)
def script() -> str:
    """Return the one script."""
    return resources.files("tables.views").joinpath("page/live.js").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Return the one style sheet."""
    return resources.files("tables.views").joinpath("page/page.css").read_text(encoding="utf-8")
