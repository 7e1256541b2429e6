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
I6 ``flow``               ticks in = ticks in bars + dead letters + drops that are counted
I7 ``audit``              the rows of SQL are what the topics said
========================= ======================================================================

The bars of I1 are made from ``market-ticks`` and its heartbeats, not from ``market-bars``: then a
bar that the first stage loses is missed. What a tick became is told by the dead letters alone.

Not judged: prices of bars, features, regimes, scores and sizes; whether a refusal was right; the
controls that look back (value at risk, correlation, rates, the day's loss), switches and hours.
"""
