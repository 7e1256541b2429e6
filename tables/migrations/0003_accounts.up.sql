-- The account after every bar, its positions, and what people changed about a book.

SELECT tradewind.create_history('risk_metrics', $$
    run text NOT NULL,
    portfolio text NOT NULL,
    bar_close timestamptz NOT NULL,
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('ACTIVE', 'REDUCING', 'HALTED')),
    equity numeric NOT NULL,
    cash numeric NOT NULL,
    gross numeric NOT NULL,
    realised numeric NOT NULL,
    unrealised numeric NOT NULL,
    fees numeric NOT NULL,
    day_open_equity numeric NOT NULL,
    peak_equity numeric NOT NULL,
    daily_loss_fraction double precision NOT NULL,
    drawdown_fraction double precision NOT NULL,
    leverage double precision NOT NULL,
    net_fraction double precision NOT NULL,
    concentration double precision NOT NULL,
    var_fraction double precision NOT NULL,
    var_historical_fraction double precision NOT NULL,
    var_normal_fraction double precision NOT NULL,
    var_bars integer NOT NULL,
    open_orders integer NOT NULL,
    orders_today integer NOT NULL,
    PRIMARY KEY (run, portfolio, bar_close)
$$);

-- A symbol that is neither held nor on order has no row.
SELECT tradewind.create_history('positions', $$
    run text NOT NULL,
    portfolio text NOT NULL,
    symbol text NOT NULL,
    bar_close timestamptz NOT NULL,
    sector text NOT NULL,
    quantity double precision NOT NULL,
    open_quantity double precision NOT NULL,
    price numeric NOT NULL,
    notional numeric NOT NULL,
    cost numeric NOT NULL,
    unrealised numeric NOT NULL,
    equity_fraction double precision NOT NULL,
    parity_weight double precision NOT NULL,
    PRIMARY KEY (run, portfolio, symbol, bar_close)
$$);

-- As it was asked for; what the book refused is in the dead letters under the same offset.
CREATE TABLE tradewind.book_changes (
    run text NOT NULL,
    portfolio text NOT NULL,
    change_id text NOT NULL,
    record text NOT NULL,
    changed_at timestamptz NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    reason text NOT NULL,
    log_partition integer NOT NULL,
    log_offset bigint NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (run, portfolio, change_id)
);
