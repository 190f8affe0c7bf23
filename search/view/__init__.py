"""What a search shows: status, progress, report, curves, and exported cells."""
