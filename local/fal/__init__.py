"""A stand-in for fal's queue.

It holds requests in a queue, runs them, paints real pictures, signs and delivers webhooks, and takes uploads, all
behind fal's own HTTP interface, so that fal's client works against it unchanged. An `Emulator` is a WSGI application;
with a `ManualClock` it does everything on the calling thread, and the same seed gives the same trace.
Every fault that fal can have is a switch: docs/emulator.md lists them.
`python -m local.fal` serves one on a port.
"""

from local.fal.breakage import ConnectionCutError, EmulatorTransport
from local.fal.chaos import ChaosPlan
from local.fal.emulator import Emulator
from local.fal.schedule import ManualClock, SystemClock
from local.fal.scripts import Script
from local.fal.settings import EmulatorSettings

__all__ = [
    "ChaosPlan",
    "ConnectionCutError",
    "Emulator",
    "EmulatorSettings",
    "EmulatorTransport",
    "ManualClock",
    "Script",
    "SystemClock",
]
