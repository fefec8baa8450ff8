"""A whole cine: the motion of its reference frame to every other, and the sizes and strains that follow from it."""
