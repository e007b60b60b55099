"""What a report finds: rows, rankings, sentences. No figures."""
