-- What a reader of the audit trail looks for: a symbol's bars, and the head of a row.
CREATE INDEX audit_records_by_bar ON tradewind.audit_records
    (stack, run, symbol, timeframe, bar_close);
CREATE INDEX audit_heads_by_row ON tradewind.audit_heads (stack, run, log_partition, last_seq);
