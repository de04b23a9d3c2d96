"""What a launch did: counts, findings, the annotated source, the page."""
