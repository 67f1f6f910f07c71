"""Times as people read them."""


def span(seconds: float) -> str:
    """A time span as ``0.4 s``, ``42 s``, ``3:07 min`` or ``2:05 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(max(0.0, seconds))
    if whole < 100:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
