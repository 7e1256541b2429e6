"""Windows onto the tables for people and foreign programs; they read and never decide."""
