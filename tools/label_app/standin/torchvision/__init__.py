"""What MONAI Label imports of torchvision, for machines on which that is not installed."""
