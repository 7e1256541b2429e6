"""The judge: seven promises about one run, checked from its raw topics and SQL rows alone.

A program of its own: it imports nothing of the product, reads by another Kafka client, and counts
money in integers. What it needs to know of the contracts is written down here a second time, so a
wrong number has to be wrong in two places to pass.

========================= ======================================================================
I1 ``slots``              every bar that the ticks make has a decision in each portfolio, and no
                          decision has no bar; every order intent has its answer
I2 ``ids``                ids are what the contract says; one that comes again has equal bytes
I3 ``order``              a portfolio's records come in the order of its bars
I4 ``ledger``             the account after every bar is what its executions add up to
I5 ``limits``             no approved order broke a limit at the moment of its approval
I6 ``flow``               ticks in = ticks in bars + dead letters + drops that are counted;
                          venues' reports in = those in the book's log + dead letters
I7 ``audit``              the rows of SQL are what the topics said
========================= ======================================================================

A promise at which nobody has looked does not hold: of each, something must have been checked.

The bars of I1 are made from ``market-ticks`` and its heartbeats, not from ``market-bars``: then a
bar that the first stage loses is missed. A dead letter is no excuse by itself: what it says of a
tick must be so of this tick at this place (late, twice, of nobody, of another partition, no price,
...), what it says of a venue's report must be so of this report, and what it says of a record of
the book's log must be a reason for that kind of record.

A target is a wish: the book sizes and checks it, and its decision shows what was wished. A decision
that was made aside is a fact: it is told once, as it was made, and its order is open from there on.

Not judged: prices of bars, features, regimes, scores and sizes; whether the controls should have
refused an order; the controls that look back (value at risk, correlation, rates, the day's loss),
switches and hours; limits of a decision made aside, where the account has gone on since.
"""
