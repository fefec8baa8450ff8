"""One self-contained HTML page, and its table as CSV and text, from the output folders of evaluate and train."""
