"""One event as a self-contained interactive page: what is drawn and where (Python), how it is drawn (`assets`, plotly.js)."""
