"""The client: limiter, retry, and the place where their order can be read."""
