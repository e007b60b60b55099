"""The figures of a report, as plain Plotly dictionaries."""
