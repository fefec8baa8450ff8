"""A bundle's network in a file that needs neither this software nor MONAI."""
