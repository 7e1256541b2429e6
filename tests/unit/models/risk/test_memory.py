"""What is remembered of records, and for how long."""

from models.risk.memory import Memory, Taken


def test_memory_when_two_days_have_passed_then_forgets_and_says_so() -> None:
    """Yesterday's ids are known; what is older is refused rather than taken anew."""
    memory = Memory()
    memory.forget(10, lambda _: False)
    memory.ids["old"], memory.ids["new"] = 9, 10
    memory.decided["old"], memory.decided["new"] = 1, 2
    memory.executions["old-fill"] = Taken(9, "o", "AAA", 1, 1, 0)
    memory.executions["new-fill"] = Taken(10, "o", "AAA", 1, 1, 0)
    assert all(memory.is_known(one) for one in ("old", "new", "old-fill", "new-fill"))
    memory.executions["open-fill"] = Taken(9, "open", "AAA", 1, 1, 0)
    memory.forget(11, lambda order_id: order_id == "open")
    assert memory.is_known("open-fill")
    assert memory.decided == {"new": 2}
    assert [memory.is_known(one) for one in ("old", "new", "old-fill", "new-fill")] == [
        False,
        True,
        False,
        True,
    ]
    assert [memory.is_forgotten(day) for day in (9, 10, 11, 12)] == [True, False, False, False]
