"""Bundles as files to hand on: made for the Model Zoo and for Hugging Face."""
