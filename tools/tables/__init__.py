"""README.md's tables, made from the files of results in the repository."""
