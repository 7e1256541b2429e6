DROP INDEX tradewind.audit_heads_by_row;
DROP INDEX tradewind.audit_records_by_bar;
