"""The ensemble as MLflow serves it: a model from code, so nothing is unpickled."""

import os
from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel

from models.prediction.ensemble import predict
from tables.stores.artifacts import Artifacts
from tests.evidence.scoring_server import ARTIFACTS, DIGEST


class Scored(PythonModel):
    """Confidence and target of rows of features, scores and weights."""

    def __init__(self) -> None:
        artifacts = Artifacts(Path(os.environ[ARTIFACTS]))
        self._ensemble = artifacts.load_models(os.environ[DIGEST]).ensemble

    def predict(self, context, model_input):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201, ARG002  MLflow reads its signature
        """Predict."""
        names = ("features", "scores", "weights")
        rows = (np.asarray(model_input[name], np.float64) for name in names)
        confidence, _, target = predict(self._ensemble, *rows)
        return [[float(c), float(t)] for c, t in zip(confidence, target, strict=True)]


mlflow.models.set_model(Scored())
