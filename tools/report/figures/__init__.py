"""The report's figures: arrays in, a matplotlib Figure out."""
