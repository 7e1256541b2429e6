"""The section about rollouts: what the role says, and what is shown while it says nothing."""

from pathlib import Path

import msgspec
import pytest
from aiohttp.test_utils import TestServer

from streams.rollouts import RolloutsAnswer
from tables.rollout import state_event
from tables.stores.token_keys import TokenKeys
from tables.views.api import api
from tables.views.auth import Callers
from tables.views.behind import Behind
from tables.views.call_limits import CallLimits
from tables.views.endpoint import Endpoints
from tables.views.forwarding import Forwarder
from tables.views.rollout_section import AskedRollouts, RolloutSection
from tables.views.rollouts import rollout_endpoints
from tables.views.templates import render
from tests.unit.tables.test_rollout import EVIDENCE, advanced, begun
from tests.unit.tables.views.test_rollouts import Desk


class Role(Desk):
    """The role with a rollout that has evidence."""

    def told(self) -> RolloutsAnswer:
        """Return it."""
        answer = {"rollouts": [state_event(advanced(begun()))], "flags": [], "evidence": EVIDENCE}
        return msgspec.convert(msgspec.to_builtins(answer), RolloutsAnswer)


def html(section: RolloutSection) -> str:
    """Render the section alone."""
    return render("rollout.html", rollout=section)


async def test_section_when_the_role_answers_then_shows_stage_arms_and_steps(
    tmp_path: Path,
) -> None:
    """Asked with a token of the pages' own, which may look and not act; once for many looks."""
    keys = TokenKeys(tmp_path)
    endpoints = Endpoints(Callers(keys, "s-1"), CallLimits(), Forwarder())
    asked = AskedRollouts()
    async with TestServer(api(rollout_endpoints(Role()), endpoints)) as server:
        behind = Behind(rollout_url=str(server.make_url("/")), auth=tmp_path, stack="s-1")
        section = await asked.section(behind)
        assert await asked.section(behind) == section
    assert section is not None
    assert section.trouble == ""
    assert [(each.subject, each.role) for each in keys.issued()] == [("pages", "researcher")]
    text = html(section)
    for expected in ("r1", "stage <b>5%</b>", "500 bars", "99.0 %", "nothing.", "automatic"):
        assert expected in text


async def test_section_when_the_role_is_away_then_says_so(tmp_path: Path) -> None:
    """The page comes all the same, and soon."""
    behind = Behind(rollout_url="http://127.0.0.1:1", auth=tmp_path, stack="s-1")
    section = await AskedRollouts().section(behind)
    assert section is not None
    assert "does not say how it is" in html(section)


@pytest.mark.parametrize("behind", [Behind(), Behind(rollout_url="http://127.0.0.1:1")])
async def test_section_when_there_is_no_role_then_is_none(behind: Behind) -> None:
    """A stack without rollouts has no such section."""
    assert await AskedRollouts().section(behind) is None


def test_section_when_nothing_was_begun_then_says_so() -> None:
    """A role that has nothing to do is no trouble."""
    assert "No rollout was ever begun" in html(RolloutSection())
