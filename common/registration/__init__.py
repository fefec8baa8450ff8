"""Register two images of any grid by a bundle, in physical space."""
