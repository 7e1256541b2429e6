-- Why decisions were made; the document is the record as it was on the topic.
SELECT tradewind.create_history('explanations', $$
    stack text NOT NULL,
    run text NOT NULL,
    decision_id uuid NOT NULL,
    bar_close timestamptz NOT NULL,
    portfolio text NOT NULL,
    symbol text NOT NULL,
    why text NOT NULL,
    explained text NOT NULL,
    residual double precision,
    is_additive boolean,
    document jsonb NOT NULL,
    PRIMARY KEY (stack, run, decision_id, bar_close)
$$);
