"""What fal asks for an edit (fal docs: model pages)."""

CENTS = {"pro": 4, "max": 8}


def price(endpoint: str, images: int) -> str:
    """The price of so many images of an endpoint, in dollars."""
    return f"${CENTS['max' if '/max' in endpoint else 'pro'] * images / 100:.2f}"
