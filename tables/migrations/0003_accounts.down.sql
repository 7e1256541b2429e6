DROP TABLE tradewind.book_changes;
DROP TABLE tradewind.positions;
DROP TABLE tradewind.risk_metrics;
