DROP VIEW tradewind.decision_audit;
DROP TABLE tradewind.audit_heads;
DROP TABLE tradewind.audit_records;
DROP FUNCTION tradewind.drop_audit_day(text, date);
DROP FUNCTION tradewind.ensure_audit_day(date);
DROP FUNCTION tradewind.json_of(bytea);
-- The role stays: it belongs to the server, and its other databases may use it.
DO $do$
BEGIN
    REVOKE USAGE ON SCHEMA tradewind FROM tradewind_audit_writer;
EXCEPTION WHEN undefined_object OR insufficient_privilege THEN NULL;
END
$do$;
