"""Everything that the entry points share.

The arrow of imports, checked by import-linter, runs from left to right and never back:
use cases (posting, uploads, reading; sending, completion, storing; recovery, advancing) → app →
adapters (fal, deliveries, images, downloads, credentials, accounts, breaker, job_table, job_indexes) →
models (presets, upload_events, settings, jobs, locks, endpoints, image_formats) → errors, reasons.
"""
