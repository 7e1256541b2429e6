-- Every record of trading-decisions as it came, linked by hashes, and the signed heads of the links.
--
-- A hypertable where TimescaleDB is installed, and partitioned by day where it is not. The bytes are
-- kept whole, beside what they are found by; every other field is a column of the view, which reads
-- it from the bytes and so cannot contradict them.
CREATE FUNCTION tradewind.json_of(bytes bytea) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN convert_from(bytes, 'UTF8')::jsonb;
EXCEPTION WHEN OTHERS THEN
    -- Kept all the same: whoever wrote it, it was on the topic.
    RETURN NULL;
END
$$;

DO $do$
DECLARE
    columns text := $$
        stack text NOT NULL,
        run text NOT NULL,
        log_partition integer NOT NULL,
        log_offset bigint NOT NULL,
        seq bigint NOT NULL,
        logged_at timestamptz NOT NULL,
        record_key bytea,
        headers text NOT NULL,
        value bytea,
        chain bytea NOT NULL CHECK (length(chain) = 32),
        decision_id uuid,
        portfolio text,
        symbol text,
        timeframe text,
        bar_close timestamptz,
        action text,
        quantity double precision,
        approved boolean,
        PRIMARY KEY (stack, run, log_partition, log_offset, logged_at)
    $$;
BEGIN
    IF tradewind.has_timescale() THEN
        EXECUTE format('CREATE TABLE tradewind.audit_records (%s)', columns);
        PERFORM create_hypertable('tradewind.audit_records', 'logged_at',
                                  chunk_time_interval => interval '1 day');
    ELSE
        EXECUTE format('CREATE TABLE tradewind.audit_records (%s) PARTITION BY RANGE (logged_at)',
                       columns);
    END IF;
END
$do$;
CREATE INDEX audit_records_by_id ON tradewind.audit_records (decision_id);
CREATE INDEX audit_records_by_close ON tradewind.audit_records USING brin (bar_close);

CREATE TABLE tradewind.audit_heads (
    stack text NOT NULL,
    run text NOT NULL,
    log_partition integer NOT NULL,
    number bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (stack, run, log_partition, number)
);

-- Made by whoever owns the schema, whatever role the writer has.
CREATE FUNCTION tradewind.ensure_audit_day(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part text := format('audit_records_%s', to_char(day, 'YYYYMMDD'));
BEGIN
    IF NOT EXISTS (SELECT FROM pg_partitioned_table
                   WHERE partrelid = 'tradewind.audit_records'::regclass)
       OR to_regclass(format('tradewind.%I', part)) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tradewind.ensure_audit_day'));
    EXECUTE format(
        'CREATE TABLE IF NOT EXISTS tradewind.%I PARTITION OF tradewind.audit_records '
        'FOR VALUES FROM (%L) TO (%L)',
        part, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    -- A decision is 3 kB of digits that pglz makes a sixth smaller at a third of the speed.
    EXECUTE format('ALTER TABLE tradewind.%I SET (toast_tuple_target = 8160)', part);
END
$$;

-- Take a stack's rows of a day out: the partition goes if no other stack has rows in it.
CREATE FUNCTION tradewind.drop_audit_day(whose text, day date) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part text := format('audit_records_%s', to_char(day, 'YYYYMMDD'));
    begins timestamptz := day::timestamp AT TIME ZONE 'UTC';
    ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    IF to_regclass(format('tradewind.%I', part)) IS NULL
       OR EXISTS (SELECT FROM tradewind.audit_records
                  WHERE logged_at >= begins AND logged_at < ends AND stack <> whose) THEN
        DELETE FROM tradewind.audit_records
        WHERE logged_at >= begins AND logged_at < ends AND stack = whose;
    ELSE
        EXECUTE format('DROP TABLE tradewind.%I', part);
    END IF;
END
$$;

CREATE VIEW tradewind.decision_audit AS
SELECT stack, run, log_partition, log_offset, seq, logged_at,
       decision_id, portfolio, symbol, timeframe, bar_close, action, quantity, approved,
       (said->>'price')::double precision AS price,
       (said->>'confidence')::double precision AS confidence,
       (said->>'allowed_quantity')::double precision AS allowed_quantity,
       (said->>'target_fraction')::double precision AS target_fraction,
       said->'rejection_reasons' AS rejection_reasons,
       said->'risk_checks' AS risk_checks,
       said->'regime_probs' AS regime_probs,
       (said->>'entropy_bits')::double precision AS entropy_bits,
       said->'strategy_weights' AS strategy_weights,
       said->'features' AS features,
       said->>'note' AS note,
       (said->>'epoch')::bigint AS epoch,
       said->'digests' AS digests,
       said->>'intent_id' AS intent_id,
       (SELECT convert_from(decode(header->>1, 'base64'), 'UTF8')
        FROM jsonb_array_elements(headers::jsonb) AS header
        WHERE header->>0 = 'source-offsets' LIMIT 1) AS source_offsets,
       headers::jsonb AS headers,
       sha256(value) AS value_sha256, chain, value
FROM tradewind.audit_records
-- The second LATERAL is read once a row, however many columns come from it.
CROSS JOIN LATERAL (SELECT CASE WHEN decision_id IS NOT NULL
                                THEN tradewind.json_of(value) END AS said OFFSET 0) AS read;

-- The writer may add and read, and nothing else. A server on which this login may make no roles
-- keeps the owner's rights for it, and the role forensics says so.
DO $do$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tradewind_audit_writer') THEN
        CREATE ROLE tradewind_audit_writer NOLOGIN;
    END IF;
    GRANT tradewind_audit_writer TO CURRENT_USER;
    GRANT USAGE ON SCHEMA tradewind TO tradewind_audit_writer;
    GRANT SELECT, INSERT ON tradewind.audit_records, tradewind.audit_heads
        TO tradewind_audit_writer;
    REVOKE ALL ON FUNCTION tradewind.ensure_audit_day(date) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION tradewind.ensure_audit_day(date) TO tradewind_audit_writer;
EXCEPTION
    WHEN insufficient_privilege THEN RAISE WARNING 'no role tradewind_audit_writer: %', SQLERRM;
    WHEN duplicate_object OR unique_violation THEN RAISE EXCEPTION 'made by another at the same time: try again';
END
$do$;
