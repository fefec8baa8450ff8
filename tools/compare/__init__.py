"""Compare bundles, weights, whole campaigns of runs and classical baselines on one page, each evaluated once."""
