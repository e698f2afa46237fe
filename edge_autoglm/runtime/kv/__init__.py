"""KV of prompt beginnings that outlives a request."""
