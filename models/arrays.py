"""Array types of the mathematics; shapes stand in the docstring of each function."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
"""Any float64 array."""

Indices: TypeAlias = npt.NDArray[np.int64]
"""Positions along an axis."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""One truth value per entry."""
