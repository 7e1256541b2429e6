"""Tests of how MLflow's tables are moved, compared and made smaller."""
