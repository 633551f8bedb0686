"""How long Darkroom waits, for what, and when it gives up. All in seconds."""

import zlib

HOUR = 3600

LEASE = 180
"""How long an attempt may be on the wire before it counts as lost; longer than any function lives."""
START_TIMEOUT = HOUR
"""Within so long fal must start a request or give it up; it is sent with every submission."""
RUN = HOUR
"""The longest that fal lets a request run (fal docs: retries, request_timeout)."""
DELIVERIES = 2 * HOUR
"""For so long after the end fal delivers; newer docs say an hour (fal docs: webhooks)."""
ATTEMPT = LEASE + START_TIMEOUT + RUN + DELIVERIES
"""After so long without fal's word an attempt is provably dead: it cannot start, run or be delivered any more."""
STORE = 24 * HOUR
"""For so long after an attempt began its outputs are tried to be stored; fal keeps them a day (FAL_OUTPUT_EXPIRY)."""
ACCEPTANCE = 72 * HOUR
"""For so long after its creation a job may begin an attempt: a lock over a weekend costs no job."""
T_MAX = ACCEPTANCE + STORE
"""After so long every job is settled, whatever happened; the next sweep says so."""


def backoff(job_id: str, tries: int, *, first: float, most: float) -> float:
    """The wait after so many tries in vain: it doubles, and jobs that failed together do not return together."""
    spread = zlib.crc32(f"{job_id}/{tries}".encode()) / 2**32
    return float(min(first * 2 ** min(tries, 30), most) * (1 + spread) / 2)
