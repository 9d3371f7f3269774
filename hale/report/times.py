"""Times of results.json as the formats want them."""

from datetime import UTC, datetime


def parse_time(text: str) -> datetime | None:
    """A time in ISO 8601, in UTC where it names no zone; None for any other text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def seconds_between(started: str, ended: str) -> float | None:
    """Seconds between two times in ISO 8601; None where one is none."""
    times = parse_time(started), parse_time(ended)
    return (times[1] - times[0]).total_seconds() if times[0] and times[1] else None


def utc_time(text: str) -> str:
    """The time as RFC 3339 with milliseconds and `Z`; "" where it is none."""
    at = parse_time(text)
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z" if at else ""
