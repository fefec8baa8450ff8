"""The bundles that there are: found by name, folder, run or package, and received with care."""
