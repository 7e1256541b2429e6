-- Steps of rollouts with what each arm had shown; the whole evidence is beside it as it was told.
CREATE TABLE tradewind.ab_results (
    stack text NOT NULL,
    run text NOT NULL,
    rollout_id text NOT NULL,
    transition integer NOT NULL CHECK (transition >= 0),
    arm text NOT NULL CHECK (arm IN ('champion', 'challenger')),
    at timestamptz NOT NULL,
    kind text NOT NULL,
    stage text NOT NULL,
    state text NOT NULL,
    decided_by text NOT NULL,
    reason text NOT NULL,
    models text NOT NULL,
    n_bars bigint,
    n_decisions bigint,
    n_refused bigint,
    n_violations bigint,
    p95_ms double precision,
    loss_nats double precision,
    earned_fraction double precision,
    evidence jsonb,
    PRIMARY KEY (stack, run, rollout_id, transition, arm)
);
