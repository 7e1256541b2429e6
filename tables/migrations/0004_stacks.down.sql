-- Keys without a stack: its id goes before the name of the run, so that no two rows meet.
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
        EXECUTE format('ALTER TABLE tradewind.%I DROP CONSTRAINT %I', spec[1], spec[1] || '_pkey');
        EXECUTE format('UPDATE tradewind.%I SET run = stack || ''/'' || run WHERE stack <> %L',
                       spec[1], 'unknown');
        EXECUTE format('ALTER TABLE tradewind.%I DROP COLUMN stack', spec[1]);
        EXECUTE format('ALTER TABLE tradewind.%I ADD PRIMARY KEY (run, %s)', spec[1], spec[2]);
    END LOOP;
END
$$;
