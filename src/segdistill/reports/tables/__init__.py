"""The rows as a table: typed entries, and a module for each format that shows them."""
