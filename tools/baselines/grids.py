"""From ITK's vector images to our fields: voxels of unit size, so that only the order of axes differs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def to_ddf(vectors: NDArray) -> NDArray[np.float32]:
    """Turn ITK's (*spatial, D), whose first component is along the last array axis, into ``ddf`` (D, *spatial).

    It is a copy: ``vectors`` may be a view of an image's memory, which goes with the image.
    """
    return np.array(np.moveaxis(vectors, -1, 0)[::-1], dtype=np.float32, order="C")
