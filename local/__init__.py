"""Everything that runs on a laptop in place of AWS and fal."""
