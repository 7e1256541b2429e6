-- A login a role of the program, with the rights of its work and no others.
--
-- The roles are made without a password, hence without a way in; docker/README.md gives them one. A
-- server on which this login may make no roles goes on with the owner's rights for all.

-- Makes partitions with the rights of who owns the tables, hence of those tables only that are cut by
-- the close of a bar: an archive cannot cut the audit trail by it.
CREATE OR REPLACE FUNCTION tradewind.ensure_year(name text, year integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part text := format('%s_%s', name, year);
BEGIN
    -- A table that was made as a hypertable is none of ours to cut.
    IF NOT EXISTS (SELECT FROM pg_partitioned_table AS cut
                   JOIN pg_attribute AS by ON by.attrelid = cut.partrelid
                                          AND by.attnum = cut.partattrs[0]
                   WHERE cut.partrelid = to_regclass(format('tradewind.%I', name))
                     AND by.attname = 'bar_close')
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
REVOKE ALL ON FUNCTION tradewind.ensure_year(text, integer) FROM PUBLIC;

DO $do$
DECLARE
    each text;
BEGIN
    FOREACH each IN ARRAY ARRAY['archive', 'reader', 'rollout', 'mlflow'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tradewind_' || each) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', 'tradewind_' || each);
        END IF;
        EXECUTE format('GRANT %I TO CURRENT_USER', 'tradewind_' || each);
    END LOOP;
    -- Each of them looks whether the schema is the one that it knows.
    GRANT USAGE ON SCHEMA tradewind
        TO tradewind_archive, tradewind_reader, tradewind_rollout, tradewind_mlflow;
    GRANT SELECT ON tradewind.migrations TO tradewind_archive, tradewind_reader, tradewind_rollout,
        tradewind_mlflow, tradewind_audit_writer;

    GRANT SELECT, INSERT ON tradewind.epochs, tradewind.regime_history, tradewind.weight_decisions,
        tradewind.risk_metrics, tradewind.positions, tradewind.book_changes, tradewind.explanations
        TO tradewind_archive;
    -- What was deleted before the trail had it is told by its writer.
    GRANT SELECT, INSERT ON tradewind.archive_gaps TO tradewind_archive, tradewind_audit_writer;
    GRANT EXECUTE ON FUNCTION tradewind.ensure_year(text, integer) TO tradewind_archive;

    GRANT SELECT ON tradewind.audit_records, tradewind.audit_heads, tradewind.decision_audit,
        tradewind.explanations TO tradewind_reader;

    GRANT SELECT, INSERT ON tradewind.ab_results TO tradewind_rollout;

    -- MLflow makes its tables itself, and may change those that it made.
    GRANT USAGE, CREATE ON SCHEMA mlflow TO tradewind_mlflow;
    GRANT USAGE ON SCHEMA mlflow TO tradewind_rollout;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mlflow
        TO tradewind_mlflow, tradewind_rollout;
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA mlflow TO tradewind_mlflow, tradewind_rollout;
    FOREACH each IN ARRAY ARRAY[CURRENT_USER::text, 'tradewind_mlflow'] LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA mlflow GRANT SELECT, INSERT, '
                       'UPDATE, DELETE ON TABLES TO tradewind_mlflow, tradewind_rollout', each);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA mlflow GRANT USAGE '
                       'ON SEQUENCES TO tradewind_mlflow, tradewind_rollout', each);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege OR undefined_object THEN RAISE WARNING 'no logins of their own for roles: %', SQLERRM;
    WHEN duplicate_object OR unique_violation THEN RAISE EXCEPTION 'made by another at the same time: try again';
END
$do$;
