"""The entry points, one module for each Lambda function's concern: they parse, call one use case, and answer."""
