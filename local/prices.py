"""What fal asks for an edit (fal docs: model pages)."""

CENTS = {"pro": 4, "max": 8}


def price(endpoint: str, images: int) -> int:
    """The price of so many images of an endpoint, in cents."""
    return CENTS["max" if "/max" in endpoint else "pro"] * images


def dollars(cents: int) -> str:
    """A price as people write it."""
    return f"${cents / 100:.2f}"
