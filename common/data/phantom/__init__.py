"""A phantom of beating hearts: image pairs whose motion, noise and artefacts are known exactly.

Two kinds: a short-axis heart in MR (labels 1 right ventricle, 2 myocardium, 3 left ventricle; a 2D image is a random
level of it) and an apical view in ultrasound (1 left ventricle, 2 myocardium, 3 left atrium). Moving is end
diastole, fixed is end systole. Both frames are sampled from one anatomy given by formulas, never from each other.

The truth saved with every pair, on the fixed grid:

- displacement: fixed(x) = moving(x + ddf(x)) for what the frames show without noise and artefacts;
- variance: of the noise in the fixed image alone, for the intensities saved. What a perfect registration leaves has
  this variance plus the moving image's there, less what interpolation averages out;
- non_correspondence: where an artefact changes the fixed image, or the place in the moving image that belongs to it,
  by more than 5 % of the range.

Noise is Rician in MR, with a level that varies between places and rises with the motion in the fixed frame, and
speckle in ultrasound, so in proportion to brightness; it is drawn anew for each frame.
"""

from __future__ import annotations

from ...lazy import attributes

_WHERE = {
    **dict.fromkeys(["ensure_phantom", "make_phantom"], "dataset"),
    "Settings": "settings",
    **dict.fromkeys(["Subject", "make_subject"], "subject"),
}
__all__ = sorted(_WHERE)
__getattr__ = attributes(__name__, _WHERE)
