DROP TABLE tradewind.weight_decisions;
DROP TABLE tradewind.regime_history;
DROP TABLE tradewind.epochs;
DROP FUNCTION tradewind.ensure_year(text, integer);
DROP FUNCTION tradewind.create_history(text, text);
DROP FUNCTION tradewind.has_timescale();
