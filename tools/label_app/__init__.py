"""A server of our bundles for MONAI Label: registration of pairs, files of all kinds, training without labels."""
