"""Everything that the entry points share.

The arrow of imports, checked by import-linter, runs from left to right and never back:
use cases (posting, uploads, submission, completion, reading, recovery) → app →
adapters (fal, webhooks, job_table, images, downloads, credentials) →
models (presets, upload_events, settings, jobs, endpoints, image_formats) → errors.
"""
