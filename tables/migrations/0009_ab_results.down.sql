DROP TABLE tradewind.ab_results;
