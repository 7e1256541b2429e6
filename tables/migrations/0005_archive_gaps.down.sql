DROP TABLE tradewind.archive_gaps;
