"""Declares how often the scheduled functions run. The schedules and the texts in the code use these constants.

The pages in docs/ and the AWS templates repeat these intervals in words. If a constant changes, a test names the
sentences that have to change.
"""

BACKUP_MINUTES = 3
RELAY_MINUTES = 1
SWEEP_MINUTES = 3  # the function of the sweep also measures the gauges, such as the number of waiting rows
VERIFY_DAYS = 1

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def minutes_in_words(count: int) -> str:
    """Return a number of minutes as text, for example `three minutes`. A number above twelve is written in digits."""
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{number} minute{'' if count == 1 else 's'}"
