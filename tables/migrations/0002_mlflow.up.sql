-- A schema of its own for MLflow, which makes and migrates its tables itself.
CREATE SCHEMA IF NOT EXISTS mlflow;
