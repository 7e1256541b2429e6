DROP TABLE tradewind.explanations;
