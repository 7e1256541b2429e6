-- The roles stay, as that of the audit trail: they belong to the server. Of this database they keep nothing.
DO $do$
DECLARE
    each text;
    maker text;
BEGIN
    FOREACH each IN ARRAY ARRAY['archive', 'reader', 'rollout', 'mlflow'] LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA tradewind FROM %I', 'tradewind_' || each);
        EXECUTE format('REVOKE ALL ON SCHEMA tradewind FROM %I', 'tradewind_' || each);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA mlflow FROM %I', 'tradewind_' || each);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA mlflow FROM %I', 'tradewind_' || each);
        EXECUTE format('REVOKE ALL ON SCHEMA mlflow FROM %I', 'tradewind_' || each);
    END LOOP;
    FOREACH maker IN ARRAY ARRAY[CURRENT_USER::text, 'tradewind_mlflow'] LOOP
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA mlflow REVOKE ALL '
                       'ON TABLES FROM tradewind_mlflow, tradewind_rollout', maker);
        EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA mlflow REVOKE ALL '
                       'ON SEQUENCES FROM tradewind_mlflow, tradewind_rollout', maker);
    END LOOP;
    REVOKE EXECUTE ON FUNCTION tradewind.ensure_year(text, integer) FROM tradewind_archive;
    REVOKE ALL ON tradewind.migrations, tradewind.archive_gaps FROM tradewind_audit_writer;
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN NULL;
END
$do$;

CREATE OR REPLACE FUNCTION tradewind.ensure_year(name text, year integer) RETURNS void
LANGUAGE plpgsql SECURITY INVOKER AS $$
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
GRANT EXECUTE ON FUNCTION tradewind.ensure_year(text, integer) TO PUBLIC;
