"""What bundles are rendered from: fragments, templates, data sets, and what was measured with the shipped weights."""
