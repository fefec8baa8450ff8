"""Convert any source of image pairs to a prepared data set: ``warpsure prepare``."""
