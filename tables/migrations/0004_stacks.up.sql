-- Stacks that share a database keep apart: the id of the stack begins every key.
--
-- Nobody can say whose the rows were that are there already: they are those of the stack 'unknown'.
-- Who has one stack only may give them its id by UPDATE. The way back writes the id before the
-- run's name, with a slash that no run's name has; it is taken apart again here.
DO $$
DECLARE
    spec text[];
BEGIN
    FOREACH spec SLICE 1 IN ARRAY ARRAY[
        ['epochs', 'epoch, digest'],
        ['regime_history', 'timeframe, symbol, bar_close'],
        ['weight_decisions', 'timeframe, symbol, bar_close'],
        ['risk_metrics', 'portfolio, bar_close'],
        ['positions', 'portfolio, symbol, bar_close'],
        ['book_changes', 'portfolio, change_id']
    ] LOOP
        EXECUTE format('ALTER TABLE tradewind.%I ADD COLUMN stack text NOT NULL DEFAULT %L',
                       spec[1], 'unknown');
        EXECUTE format('ALTER TABLE tradewind.%I ALTER COLUMN stack DROP DEFAULT', spec[1]);
        EXECUTE format('ALTER TABLE tradewind.%I DROP CONSTRAINT %I', spec[1], spec[1] || '_pkey');
        EXECUTE format('UPDATE tradewind.%I SET stack = split_part(run, ''/'', 1), '
                       'run = split_part(run, ''/'', 2) WHERE run LIKE ''%%/%%''', spec[1]);
        EXECUTE format('ALTER TABLE tradewind.%I ADD PRIMARY KEY (stack, run, %s)', spec[1], spec[2]);
    END LOOP;
END
$$;
