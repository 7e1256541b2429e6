-- What the stages said about every symbol and bar: regimes and weights.
--
-- Rows of a run are written once; the primary key makes a second delivery harmless. A table is a
-- hypertable where TimescaleDB is installed, and partitioned by year where it is not: the columns,
-- keys and queries are the same.

CREATE FUNCTION tradewind.has_timescale() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
$$;

CREATE FUNCTION tradewind.create_history(name text, columns text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF tradewind.has_timescale() THEN
        EXECUTE format('CREATE TABLE tradewind.%I (%s)', name, columns);
        PERFORM create_hypertable(format('tradewind.%I', name), 'bar_close',
                                  chunk_time_interval => interval '30 days');
    ELSE
        EXECUTE format('CREATE TABLE tradewind.%I (%s) PARTITION BY RANGE (bar_close)', name, columns);
    END IF;
END
$$;

-- Make the partition of a year if it is missing; hypertables make their own.
CREATE FUNCTION tradewind.ensure_year(name text, year integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    part text := format('%s_%s', name, year);
BEGIN
    -- A table that was made as a hypertable is none of ours to cut.
    IF NOT EXISTS (SELECT FROM pg_partitioned_table
                   WHERE partrelid = format('tradewind.%I', name)::regclass)
       OR to_regclass(format('tradewind.%I', part)) IS NOT NULL THEN
        RETURN;
    END IF;
    -- Two writers may come at once: the second waits here and finds it made.
    PERFORM pg_advisory_xact_lock(hashtext('tradewind.ensure_year'));
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS tradewind.%I PARTITION OF tradewind.%I FOR VALUES FROM (%L) TO (%L)',
        part, name,
        make_timestamptz(year, 1, 1, 0, 0, 0, 'UTC'),
        make_timestamptz(year + 1, 1, 1, 0, 0, 0, 'UTC'));
END
$$;

-- The documents behind the numbers: which models, limits and universe an epoch of a run means.
CREATE TABLE tradewind.epochs (
    run text NOT NULL,
    epoch bigint NOT NULL,
    digest char(64) NOT NULL,
    document jsonb NOT NULL,
    PRIMARY KEY (run, epoch, digest)
);

SELECT tradewind.create_history('regime_history', $$
    run text NOT NULL,
    timeframe text NOT NULL,
    symbol text NOT NULL,
    bar_close timestamptz NOT NULL,
    epoch bigint NOT NULL,
    bull double precision NOT NULL,
    bear double precision NOT NULL,
    sideways double precision NOT NULL,
    entropy_bits double precision NOT NULL,
    PRIMARY KEY (run, timeframe, symbol, bar_close),
    CHECK (abs(bull + bear + sideways - 1) <= 1e-9),
    CHECK (entropy_bits BETWEEN 0 AND 1.585)
$$);

SELECT tradewind.create_history('weight_decisions', $$
    run text NOT NULL,
    timeframe text NOT NULL,
    symbol text NOT NULL,
    bar_close timestamptz NOT NULL,
    epoch bigint NOT NULL,
    bull_specialist double precision NOT NULL,
    bear_specialist double precision NOT NULL,
    sideways_specialist double precision NOT NULL,
    bull_score double precision,
    bear_score double precision,
    sideways_score double precision,
    PRIMARY KEY (run, timeframe, symbol, bar_close),
    CHECK (abs(bull_specialist + bear_specialist + sideways_specialist - 1) <= 1e-9)
$$);
