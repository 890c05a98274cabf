"""How often the scheduled functions run. The schedules, and the texts in this code, use these constants.

The pages of docs/ and the AWS templates repeat the numbers in words. A test says which sentences have to change.
"""

BACKUP_MINUTES = 3
SWEEP_MINUTES = 3  # the sweep also measures the gauges
VERIFY_DAYS = 1

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def minutes_in_words(count: int) -> str:
    """Return for example `three minutes`. Numbers above twelve are written in digits."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} minute{'' if count == 1 else 's'}"
