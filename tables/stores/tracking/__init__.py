"""The tables in which MLflow keeps runs and models: moved, compared, and made smaller."""
